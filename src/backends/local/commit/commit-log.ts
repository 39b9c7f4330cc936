import type { PackAppender } from '../files/pack-files.ts';
import { encodeLogRecord } from '../format/log-codec.ts';
import { arranged } from '../format/log-order.ts';
import type {
  LoggedEntries,
  LoggedState,
  LogOperation,
  LogRecord,
  PackSpan,
} from '../format/log-record.ts';
import { KIND_NUMBERS, LOG } from '../format/schema.ts';
import { BlockStager } from '../packs/block-stager.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import { countEntries, type ManifestRow } from '../tables/manifest-table.ts';

/**
 * A commit's record is cut when its operations have about this many bytes: a block's frame is
 * bounded.
 */
const RECORD_BYTES = 4 * 1024 * 1024;

/** Bytes of an operation besides its id, entries and reason. */
const OPERATION_BYTES = 40;
const ENTRY_BYTES = 4;

/**
 * What one write transaction does to manifests, as records of the log: in blocks of their own,
 * behind the transaction's other blocks and under the same flush.
 *
 * Invariant L6: every transaction that changes a manifest or appends new records to a pack has a
 * record in the log, written before it commits; the numbers of committed records have no gaps.
 */
export class CommitLog {
  readonly #index: LocalIndex;
  readonly #appender: PackAppender;
  readonly #level: number;
  readonly #start: number;
  readonly #operations: LogOperation[] = [];
  #waste = 0;

  /** Make it when the transaction begins. */
  constructor(index: LocalIndex, appender: PackAppender, level: number) {
    this.#index = index;
    this.#appender = appender;
    this.#level = level;
    this.#start = appender.end;
  }

  /** Logs a put; `dropped`: the bodies that the manifest had before. */
  put(
    row: ManifestRow,
    bodies: readonly number[],
    dropped: readonly number[],
    nonces: LoggedEntries['nonces'] = [],
  ): void {
    const { id, kind, name } = row;
    this.#add(row, {
      type: 'put',
      row: id,
      kind,
      name,
      state: stateOf(this.#index, row),
      entries: { bodies, nonces },
      dropped,
    });
    if ((row.revision ?? 1) > 1)
      this.#addWaste(row, OPERATION_BYTES + name.length + dropped.length * ENTRY_BYTES);
  }

  append(row: ManifestRow, bodies: readonly number[], nonce: Uint8Array | null): void {
    const entries: LoggedEntries = { bodies, nonces: nonce === null ? [] : [[0, nonce]] };
    const from = countEntries(row) - bodies.length;
    this.#add(row, {
      type: 'append',
      row: row.id,
      from,
      state: stateOf(this.#index, row),
      entries,
    });
    this.#addWaste(row, OPERATION_BYTES / 2);
  }

  delete(row: ManifestRow, dropped: readonly number[]): void {
    this.#add(row, { type: 'delete', row: row.id, dropped });
    this.#addWaste(row, 2 * OPERATION_BYTES + row.name.length + dropped.length * ENTRY_BYTES);
  }

  hold(row: ManifestRow): void {
    const hold = this.#index.holds.find(row.id);
    if (hold === undefined) this.#add(row, { type: 'release', row: row.id });
    else
      this.#add(row, { type: 'hold', row: row.id, since: hold.since, reason: hold.reason ?? null });
    this.#addWaste(row, OPERATION_BYTES + (hold?.reason?.length ?? 0));
  }

  /** What a stream has stored so far is not a manifest yet. */
  #add({ kind }: ManifestRow, operation: LogOperation): void {
    if (kind !== KIND_NUMBERS.upload) this.#operations.push(operation);
  }

  /** Counts bytes that a snapshot of the manifests would spare, see log-compaction.ts. */
  #addWaste({ kind }: ManifestRow, bytes: number): void {
    if (kind !== KIND_NUMBERS.upload) this.#waste += bytes;
  }

  /** Appends the records. Call it behind all other blocks of the transaction. */
  finish(): void {
    const { database } = this.#index;
    const voids = unstatedVoids(this.#index);
    if (this.#operations.length === 0 && voids.length === 0 && this.#appender.end === this.#start)
      return;
    writeRecords(this.#index, this.#appender, this.#level, voids, undefined, this.#operations);
    if (this.#waste > 0) database.setMeta('log_waste', database.meta('log_waste') + this.#waste);
  }
}

/** Appends the records of one commit, at least one, and enters them into the index. */
export function writeRecords(
  index: LocalIndex,
  appender: PackAppender,
  level: number,
  voids: readonly PackSpan[],
  covers: LogRecord['covers'],
  operations: readonly LogOperation[],
): void {
  const { database, log } = index;
  const stager = new BlockStager(database, appender, LOG, { blockBytes: RECORD_BYTES, level });
  const floor = database.meta('log_floor');
  const firstBody = database.meta('next_body');
  const parts = cut(arranged(operations));
  for (const [part, each] of parts.entries()) {
    const isFirst = part === 0;
    const number = log.newest + 1;
    const record: LogRecord = {
      part,
      isContinued: part < parts.length - 1,
      floor,
      firstBody,
      voids: isFirst ? voids : [],
      touchedBefore: log.touched(),
      covers: isFirst ? covers : undefined,
      operations: each,
    };
    stager.add({ id: number, bytes: encodeLogRecord(record), tokens: false });
    stager.flush();
    database.setMeta('log', number);
    log.remember(number, record);
  }
  if (voids.length > 0) database.run('UPDATE void SET stated = 1 WHERE stated = 0');
}

/** Bytes that no commit accounts for and that no record of the log states yet. */
function unstatedVoids({ database }: LocalIndex): PackSpan[] {
  return database.all<PackSpan>('SELECT pack, start, length FROM void WHERE stated = 0');
}

/** Cuts operations into the shares of records; one share at least. */
function cut(operations: readonly LogOperation[]): LogOperation[][] {
  const parts: LogOperation[][] = [];
  let part: LogOperation[] = [];
  let bytes = 0;
  for (const operation of operations) {
    const size = sizeOf(operation);
    if (part.length > 0 && bytes + size > RECORD_BYTES) {
      parts.push(part);
      part = [];
      bytes = 0;
    }
    part.push(operation);
    bytes += size;
  }
  parts.push(part);
  return parts;
}

function sizeOf(operation: LogOperation): number {
  let bytes = OPERATION_BYTES;
  if (operation.type === 'put') bytes += operation.name.length;
  if (operation.type === 'hold') bytes += operation.reason?.length ?? 0;
  if ('dropped' in operation) bytes += operation.dropped.length * ENTRY_BYTES;
  if ('entries' in operation) {
    const { bodies, nonces } = operation.entries;
    bytes += bodies.length * ENTRY_BYTES;
    for (const [, nonce] of nonces) bytes += nonce.length + ENTRY_BYTES;
  }
  return bytes;
}

/** The fields of a row, with names spelled out. */
export function stateOf({ names }: Pick<LocalIndex, 'names'>, row: ManifestRow): LoggedState {
  return {
    application: row.application === null ? null : names.text(row.application),
    model: row.model === null ? null : names.text(row.model),
    created: row.created,
    updated: row.updated ?? row.created,
    expires: row.expires,
    bytes: row.bytes,
    revision: row.revision ?? 1,
  };
}
