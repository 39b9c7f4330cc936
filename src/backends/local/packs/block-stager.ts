import type { IndexDatabase } from '../database/index-database.ts';
import type { PackAppender } from '../files/pack-files.ts';
import { type BlockRecord, encodeBlock } from '../format/block.ts';
import type { Space } from '../format/schema.ts';

export interface BlockTuning {
  /** A block is complete when its records have this many bytes before compression. */
  readonly blockBytes: number;
  /** zstd level. */
  readonly level: number;
}

/** Frames of blocks that were made before the transaction. */
export interface PreparedFrames {
  /** The frame of exactly these records, if there is one. */
  frameOf(records: readonly BlockRecord[]): Buffer | undefined;
}

/**
 * Collects records of one space into blocks, appends these to a pack and enters them into the
 * index.
 */
export class BlockStager {
  readonly #database: IndexDatabase;
  readonly #appender: PackAppender;
  readonly #space: Space;
  readonly #tuning: BlockTuning;
  readonly #prepared: PreparedFrames | undefined;
  #records: BlockRecord[] = [];
  #bytes = 0;

  constructor(
    database: IndexDatabase,
    appender: PackAppender,
    space: Space,
    tuning: BlockTuning,
    prepared?: PreparedFrames,
  ) {
    this.#database = database;
    this.#appender = appender;
    this.#space = space;
    this.#tuning = tuning;
    this.#prepared = prepared;
  }

  /** Adds a record; ids must ascend. */
  add(record: BlockRecord): void {
    if (this.#bytes > 0 && this.#bytes + record.bytes.length > this.#tuning.blockBytes)
      this.flush();
    this.#records.push(record);
    this.#bytes += record.bytes.length;
  }

  /** Writes the collected records as a block, with an extent of its own. */
  flush(): void {
    const first = this.#records[0];
    if (first === undefined) return;
    const block = this.write(this.#records);
    this.#database.run(
      'INSERT INTO extent (space, first, block) VALUES (?, ?, ?)',
      this.#space,
      first.id,
      block,
    );
    this.#records = [];
    this.#bytes = 0;
  }

  /** Writes records as one block and returns its id; the caller enters the extents. */
  write(records: readonly BlockRecord[]): number {
    const raw = records.reduce((total, record) => total + record.bytes.length, 0);
    const frame = this.#prepared?.frameOf(records);
    const block = encodeBlock(this.#space, records, this.#tuning.level, frame);
    return this.copy(block, raw, records.length);
  }

  /** As {@link write}, for a block as it is stored; `raw`: bytes of its records. */
  copy(block: Buffer, raw: number, records: number): number {
    const start = this.#appender.append(block);
    const { lastInsertRowid } = this.#database.run(
      'INSERT INTO block (space, pack, start, length, raw, records) VALUES (?, ?, ?, ?, ?, ?)',
      this.#space,
      this.#appender.pack,
      start,
      block.length,
      raw,
      records,
    );
    return Number(lastInsertRowid);
  }
}
