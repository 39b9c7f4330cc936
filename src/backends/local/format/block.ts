import { hash } from 'node:crypto';
import { decodeSealed, encodeSealed, type SealedAs } from '../../../cas/codec/seal.ts';
import { ByteReader, ByteWriter } from '../../../cas/codec/varint.ts';
import { ADDRESS_BYTES, type Address } from '../../../core/address.ts';
import { VarveError } from '../../../core/errors.ts';
import { unknownNumber } from '../../../core/format-number.ts';
import { FINGERPRINT_BITS } from './fingerprint.ts';
import { SEGMENTS, type Space } from './schema.ts';

/**
 * A block: the unit of compression and of reading. It contains records of one space, in ascending
 * order of their ids.
 *
 * | bytes | what |
 * |---|---|
 * | 4 | magic `VBLK` |
 * | 1 | format version, 1 |
 * | 1 | space: 0 segments, 1 manifest bodies, 2 the log |
 * | 2 | zero |
 * | 4 | length of the directory, little-endian |
 * | 4 | length of the frame, little-endian |
 * | 8 | first bytes of the SHA-256 of the 16 bytes above and the directory |
 * | 8 | first bytes of the SHA-256 of the frame |
 * | … | directory |
 * | … | frame (frame.ts) of all records, one after the other |
 *
 * Directory: varint count of id runs; for each, varint distance from the end of the previous run
 * (initially 0), varint number of consecutive ids. Then for each record varint `stored length × 2 +
 * (1 if tokens)`. Then, for segments, the 32-byte address of each.
 */
export const BLOCK_MAGIC = Buffer.from('VBLK');
const VERSION = 1;
const CHECKSUM_BYTES = 8;
const CHECKED_HEADER_BYTES = 16;

/** Bytes before a block's directory. */
export const BLOCK_HEADER_BYTES = CHECKED_HEADER_BYTES + 2 * CHECKSUM_BYTES;

/** A record for a block: `bytes` are as stored, tokens already varint-coded. */
export interface BlockRecord {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly tokens: boolean;
  /** Only for segments. */
  readonly address?: Address;
}

/** The frame of the block of these records. */
export function blockFrame(space: Space, records: readonly BlockRecord[], level: number): Buffer {
  const as = sealedAs(space, records[0]?.id, records.at(-1)?.id);
  return encodeSealed(Buffer.concat(records.map((record) => record.bytes)), as, { level });
}

/**
 * Encodes records, which must be in ascending order of ids.
 *
 * @param frame their {@link blockFrame}.
 */
export function encodeBlock(
  space: Space,
  records: readonly BlockRecord[],
  level: number,
  frame: Buffer = blockFrame(space, records, level),
): Buffer {
  const directory = encodeDirectory(space, records);
  const block = Buffer.allocUnsafe(BLOCK_HEADER_BYTES + directory.length + frame.length);
  BLOCK_MAGIC.copy(block, 0);
  block[4] = VERSION;
  block[5] = space;
  block.writeUInt16LE(0, 6);
  block.writeUInt32LE(directory.length, 8);
  block.writeUInt32LE(frame.length, 12);
  block.set(directory, BLOCK_HEADER_BYTES);
  block.set(frame, BLOCK_HEADER_BYTES + directory.length);
  block.set(directoryChecksum(block, directory), CHECKED_HEADER_BYTES);
  block.set(checksum(frame), CHECKED_HEADER_BYTES + CHECKSUM_BYTES);
  return block;
}

function encodeDirectory(space: Space, records: readonly BlockRecord[]): Buffer {
  const runs: { gap: number; count: number }[] = [];
  let next = 0;
  for (const { id } of records) {
    const last = runs.at(-1);
    if (last !== undefined && id === next) last.count++;
    else runs.push({ gap: id - next, count: 1 });
    next = id + 1;
  }
  const out = new ByteWriter(records.length * (ADDRESS_BYTES + 4) + 16);
  out.varint(runs.length);
  for (const { gap, count } of runs) {
    out.varint(gap);
    out.varint(count);
  }
  for (const record of records) out.varint(record.bytes.length * 2 + (record.tokens ? 1 : 0));
  if (space === SEGMENTS) for (const record of records) out.hex(record.address as Address);
  return out.view();
}

/** The directory of a block: its records without their bytes. */
export class BlockDirectory {
  readonly space: Space;
  /** Ascending. */
  readonly ids: Float64Array;
  /**
   * Offset of each record in the raw bytes, and the end of the last one, so that neighbours give
   * lengths.
   */
  readonly offsets: Float64Array;
  readonly #tokens: Uint8Array;
  readonly #addresses: Buffer;

  constructor(
    space: Space,
    ids: Float64Array,
    offsets: Float64Array,
    tokens: Uint8Array,
    addresses: Buffer,
  ) {
    this.space = space;
    this.ids = ids;
    this.offsets = offsets;
    this.#tokens = tokens;
    this.#addresses = addresses;
  }

  get records(): number {
    return this.ids.length;
  }

  /** Its size in memory, for caches. */
  get byteSize(): number {
    return this.records * (8 + 8 + 1) + this.#addresses.length + 200;
  }

  /** The slot of a record in the block; -1 when the block does not contain it. */
  slotOf(id: number): number {
    const ids = this.ids;
    let low = 0;
    let high = ids.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const found = ids[middle] as number;
      if (found === id) return middle;
      if (found < id) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  isTokens(slot: number): boolean {
    return this.#tokens[slot] === 1;
  }

  /** Length of the record as stored in the block. */
  storedLength(slot: number): number {
    return (this.offsets[slot + 1] as number) - (this.offsets[slot] as number);
  }

  /** The first {@link FINGERPRINT_BITS} of the address. */
  fingerprint(slot: number): number {
    return this.#addresses.readUIntBE(slot * ADDRESS_BYTES, FINGERPRINT_BITS / 8);
  }

  address(slot: number): Address {
    return this.#addresses.toString(
      'hex',
      slot * ADDRESS_BYTES,
      (slot + 1) * ADDRESS_BYTES,
    ) as Address;
  }
}

/** Decodes the lengths of a block's parts from its first {@link BLOCK_HEADER_BYTES} bytes. */
export function decodeBlockHeader(
  header: Buffer,
  what: string,
): { directoryBytes: number; frameBytes: number } {
  if (header.length < BLOCK_HEADER_BYTES || !header.subarray(0, 4).equals(BLOCK_MAGIC)) {
    throw new VarveError('CORRUPT', `${what}: no block starts here`);
  }
  // For every caller such a block is as unreadable as a damaged one: a newer Varve would have
  // raised the version of the store, which is checked when the store is opened.
  if (header[4] !== VERSION) throw unknownNumber(what, 'block format', header[4]);
  return { directoryBytes: header.readUInt32LE(8), frameBytes: header.readUInt32LE(12) };
}

/** Decodes a block's directory from a buffer with at least the header and the directory. */
export function decodeBlockDirectory(block: Buffer, what: string): BlockDirectory {
  const { directoryBytes } = decodeBlockHeader(block, what);
  const bytes = block.subarray(BLOCK_HEADER_BYTES, BLOCK_HEADER_BYTES + directoryBytes);
  const expected = block.subarray(CHECKED_HEADER_BYTES, CHECKED_HEADER_BYTES + CHECKSUM_BYTES);
  if (bytes.length !== directoryBytes || !expected.equals(directoryChecksum(block, bytes))) {
    throw new VarveError('CORRUPT', `${what}: the block's directory does not match its checksum`);
  }
  const space = block[5] as Space;
  const reader = new ByteReader(bytes, `${what}, directory`);
  const ids: number[] = [];
  let next = 0;
  for (let runs = reader.varint(); runs > 0; runs--) {
    next += reader.varint();
    for (let count = reader.varint(); count > 0; count--) ids.push(next++);
  }
  const offsets = new Float64Array(ids.length + 1);
  const tokens = new Uint8Array(ids.length);
  for (let slot = 0; slot < ids.length; slot++) {
    const coded = reader.varint();
    tokens[slot] = coded % 2;
    offsets[slot + 1] = (offsets[slot] as number) + Math.floor(coded / 2);
  }
  const addresses = Buffer.from(reader.bytes(space === SEGMENTS ? ids.length * ADDRESS_BYTES : 0));
  reader.end();
  return new BlockDirectory(space, Float64Array.from(ids), offsets, tokens, addresses);
}

/** Decodes the records of a whole block, one after the other at the directory's offsets. */
export function decodeBlockPayload(
  block: Buffer,
  directory: BlockDirectory,
  what: string,
): Uint8Array {
  const frame = frameOf(block, what);
  const { space, ids } = directory;
  const raw = decodeSealed(frame, sealedAs(space, ids[0], ids.at(-1)), what);
  if (raw.length !== directory.offsets[directory.records]) {
    throw new VarveError(
      'CORRUPT',
      `${what}: the block has ${raw.length} bytes, which its directory contradicts`,
    );
  }
  return raw;
}

/** The first `length` bytes, or more, of what {@link decodeBlockPayload} returns. */
export function decodeBlockPrefix(
  block: Buffer,
  { space, ids }: BlockDirectory,
  length: number,
  what: string,
): Uint8Array {
  const frame = frameOf(block, what);
  const raw = decodeSealed(frame, sealedAs(space, ids[0], ids.at(-1)), what, length);
  if (raw.length >= length) return raw;
  throw new VarveError('CORRUPT', `${what}: the block ends before its directory says`);
}

/**
 * The frame of a whole block.
 *
 * @throws `CORRUPT` when it does not match its checksum.
 */
export function frameOf(block: Buffer, what: string): Buffer {
  const { directoryBytes, frameBytes } = decodeBlockHeader(block, what);
  const start = BLOCK_HEADER_BYTES + directoryBytes;
  const frame = block.subarray(start, start + frameBytes);
  const expected = block.subarray(CHECKED_HEADER_BYTES + CHECKSUM_BYTES, BLOCK_HEADER_BYTES);
  if (frame.length === frameBytes && expected.equals(checksum(frame))) return frame;
  throw new VarveError('CORRUPT', `${what}: the block does not match its checksum`);
}

/** A block is what it holds, in whatever pack it lies. */
function sealedAs(space: Space, first: number | undefined, last: number | undefined): SealedAs {
  return { role: 'block', identity: `${space}/${first}-${last}` };
}

function directoryChecksum(block: Buffer, directory: Buffer): Buffer {
  return checksum(Buffer.concat([block.subarray(0, CHECKED_HEADER_BYTES), directory]));
}

function checksum(bytes: Uint8Array): Buffer {
  return (hash('sha256', bytes, 'buffer') as Buffer).subarray(0, CHECKSUM_BYTES);
}
