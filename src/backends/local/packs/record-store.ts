import { LRUCache } from 'lru-cache';
import { unpackTokens } from '../../../cas/codec/token-codec.ts';
import { addressOf } from '../../../core/address.ts';
import { isUnreadable, VarveError } from '../../../core/errors.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { type PackReader, packPath } from '../files/pack-files.ts';
import {
  BLOCK_HEADER_BYTES,
  type BlockDirectory,
  decodeBlockDirectory,
  decodeBlockHeader,
  decodeBlockPayload,
  decodeBlockPrefix,
  frameOf,
} from '../format/block.ts';
import type { Space } from '../format/schema.ts';

/** Memory for decoded blocks, and for directories of blocks that were only searched, in bytes. */
const PAYLOAD_CACHE_BYTES = 32 * 1024 * 1024;
const DIRECTORY_CACHE_BYTES = 8 * 1024 * 1024;

/** Bytes of the first read from a block of unknown directory size: most directories fit. */
const DIRECTORY_GUESS_BYTES = 8 * 1024;

/** Position of a block. */
export interface BlockPlace {
  readonly id: number;
  readonly pack: number;
  readonly start: number;
  readonly length: number;
}

/** Position of a record: its block and its slot there. */
export interface RecordPlace {
  readonly block: BlockPlace;
  readonly directory: BlockDirectory;
  readonly slot: number;
}

/** A block, for the ids that one of its extents covers. */
interface FoundBlock {
  readonly block: BlockPlace;
  readonly directory: BlockDirectory;
  readonly first: number;
  /** Exclusive. */
  readonly end: number;
}

/**
 * Reads records by id. Caches payloads and directories by block id; block ids are never reused and
 * their content never changes. Only the position of a record can change, with the index's epoch.
 */
export class RecordStore {
  readonly #root: string;
  readonly #database: IndexDatabase;
  readonly #packs: PackReader;
  readonly #payloads = new LRUCache<number, Uint8Array>({
    maxSize: PAYLOAD_CACHE_BYTES,
    sizeCalculation: (payload) => payload.length + 100,
  });
  readonly #directories = new LRUCache<number, BlockDirectory>({
    maxSize: DIRECTORY_CACHE_BYTES,
    sizeCalculation: (directory) => directory.byteSize,
  });
  /** The block found last in each space: neighbouring ids are mostly in one block. */
  readonly #latest: (FoundBlock | undefined)[] = [];

  /** The begin of the block that was decoded in part last. */
  #prefix: { readonly block: number; readonly bytes: Uint8Array } | undefined;

  constructor(root: string, database: IndexDatabase, packs: PackReader) {
    this.#root = root;
    this.#database = database;
    this.#packs = packs;
  }

  /** Finds a record; `undefined` when no block contains it any more. */
  locate(space: Space, id: number): RecordPlace | undefined {
    const latest = this.#latest[space];
    if (latest !== undefined && id >= latest.first && id < latest.end) {
      const slot = latest.directory.slotOf(id);
      if (slot >= 0) return { block: latest.block, directory: latest.directory, slot };
    }
    // A block may still contain records that another one has taken over: the range of its extent
    // decides.
    const found = this.#database.get<BlockPlace & { first: number; end: number | null }>(
      `SELECT block.id, pack, start, length, found.first,
         (SELECT min(first) FROM extent WHERE space = ? AND first > found.first) AS end
       FROM (SELECT first, block FROM extent WHERE space = ? AND first <= ? ORDER BY first DESC LIMIT 1) AS found
       JOIN block ON block.id = found.block`,
      space,
      space,
      id,
    );
    if (found === undefined) return undefined;
    const { first, end, ...block } = found;
    const directory = this.directory(block);
    const slot = directory.slotOf(id);
    if (slot < 0) return undefined;
    this.#latest[space] = { block, directory, first, end: end ?? Number.POSITIVE_INFINITY };
    return { block, directory, slot };
  }

  /** Length of a record as stored in its block; 0 when no readable block contains it. */
  length(space: Space, id: number): number {
    try {
      const place = this.locate(space, id);
      return place === undefined ? 0 : place.directory.storedLength(place.slot);
    } catch (error) {
      // An audit reports unreadable records; sums and sweeps skip them.
      if (isUnreadable(error)) return 0;
      throw error;
    }
  }

  /** Reads and verifies the directory of a block. */
  directory(block: BlockPlace): BlockDirectory {
    let directory = this.#directories.get(block.id);
    if (directory === undefined) {
      let head = this.#packs.read(
        block.pack,
        block.start,
        Math.min(block.length, DIRECTORY_GUESS_BYTES),
      );
      const needed =
        BLOCK_HEADER_BYTES + decodeBlockHeader(head, this.#nameOf(block)).directoryBytes;
      if (needed > block.length)
        throw new VarveError('CORRUPT', `${this.#nameOf(block)}: the directory exceeds the block`);
      if (needed > head.length) head = this.#packs.read(block.pack, block.start, needed);
      directory = decodeBlockDirectory(head, this.#nameOf(block));
      this.#directories.set(block.id, directory);
    }
    return directory;
  }

  /** Reads the bytes of all records of a block, verified against the block's checksum. */
  payload(block: BlockPlace): Uint8Array {
    let payload = this.#payloads.get(block.id);
    if (payload === undefined) {
      payload = this.readPayload(block);
      this.#payloads.set(block.id, payload);
    }
    return payload;
  }

  /**
   * The bytes of a record, like {@link stored}. Of the block only what comes before it is decoded,
   * and kept: who needs one record of a block, or several from the last to the first.
   */
  storedAtOnce(place: RecordPlace): Uint8Array {
    const { block, directory, slot } = place;
    if (this.#payloads.has(block.id)) return this.stored(place);
    const end = directory.offsets[slot + 1] as number;
    if (this.#prefix?.block !== block.id || this.#prefix.bytes.length < end)
      this.#prefix = { block: block.id, bytes: this.readPrefix(block, directory, end) };
    return this.#prefix.bytes.subarray(directory.offsets[slot], end);
  }

  /** The first `length` bytes, or more, of what {@link readPayload} returns. */
  readPrefix(block: BlockPlace, directory: BlockDirectory, length: number): Uint8Array {
    const bytes = this.#packs.read(block.pack, block.start, block.length);
    return decodeBlockPrefix(bytes, directory, length, this.#nameOf(block));
  }

  /** As {@link payload}, from the medium and without the cache. */
  readPayload(block: BlockPlace): Uint8Array {
    const bytes = this.#packs.read(block.pack, block.start, block.length);
    const what = this.#nameOf(block);
    const directory = decodeBlockDirectory(bytes, what);
    this.#directories.set(block.id, directory);
    return decodeBlockPayload(bytes, directory, what);
  }

  /** A whole block as it is stored, verified against its checksums. */
  readBlock(block: BlockPlace): Buffer {
    const bytes = this.#packs.read(block.pack, block.start, block.length);
    const what = this.#nameOf(block);
    this.#directories.set(block.id, decodeBlockDirectory(bytes, what));
    frameOf(bytes, what);
    return bytes;
  }

  /** A record's bytes as stored in its block: tokens are varint-coded. */
  stored({ block, directory, slot }: RecordPlace): Uint8Array {
    const payload = this.payload(block);
    return payload.subarray(directory.offsets[slot], directory.offsets[slot + 1]);
  }

  /**
   * Reads the canonical bytes of a segment, re-hashed.
   *
   * @throws `CORRUPT` with the address when the bytes are not those that were stored.
   */
  segment(place: RecordPlace): Uint8Array {
    const { directory, slot } = place;
    const address = directory.address(slot);
    let canonical: Uint8Array;
    try {
      const stored = this.stored(place);
      canonical = directory.isTokens(slot) ? unpackTokens(stored, `segment ${address}`) : stored;
    } catch (cause) {
      if (isUnreadable(cause)) {
        throw new VarveError('CORRUPT', `segment ${address} cannot be read: ${cause.message}`, {
          cause,
        });
      }
      throw cause;
    }
    if (addressOf(canonical) !== address) {
      throw new VarveError(
        'CORRUPT',
        `segment ${address} is damaged in ${this.#nameOf(place.block)}: its bytes hash to ` +
          'something else',
      );
    }
    return canonical;
  }

  /** Forgets positions of records: they may have moved or gone, and packs with them. */
  forgetPlaces(): void {
    this.#latest.length = 0;
    // An open descriptor would keep the space of a removed pack.
    this.#packs.closeAll();
  }

  /** Forgets everything, because block ids of a rolled-back transaction will be reused. */
  clear(): void {
    this.#payloads.clear();
    this.#prefix = undefined;
    this.#directories.clear();
    this.forgetPlaces();
  }

  #nameOf({ pack, start }: BlockPlace): string {
    return `${packPath(this.#root, pack)} at byte ${start}`;
  }
}
