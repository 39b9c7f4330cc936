import { hash } from 'node:crypto';
import { ADDRESS_BYTES, type Address } from '../../core/address.ts';
import { VarveError } from '../../core/errors.ts';
import { unknownNumber } from '../../core/format-number.ts';
import { codecOf, RAW, ZSTD } from './codec.ts';
import { ByteReader, ByteWriter } from './varint.ts';

/**
 * A frame is a self-describing piece of stored bytes:
 *
 * | bytes | what |
 * |---|---|
 * | 3 | magic `VFR` |
 * | 1 | format version, 1 |
 * | 1 | codec number |
 * | 1 | flags: 1 = a dictionary's address follows, 2 = a checksum follows; others 0 |
 * | varint | length of the raw bytes |
 * | 32 | if flag 1: address of the dictionary |
 * | 8 | if flag 2: first 8 bytes of the SHA-256 of the raw bytes |
 * | rest | payload |
 *
 * Flag 4 is reserved: the epoch of the key that the frame is sealed with, a varint.
 */
const MAGIC = Buffer.from('VFR');
const VERSION = 1;
const HAS_DICTIONARY = 1;
const HAS_CHECKSUM = 2;
const KNOWN_FLAGS = HAS_DICTIONARY | HAS_CHECKSUM;
const CHECKSUM_BYTES = 8;

/**
 * The most raw bytes one frame may declare: bounds what a damaged or hostile length can make a
 * reader allocate.
 */
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;

export interface Dictionary {
  readonly address: Address;
  readonly bytes: Uint8Array;
}

export interface FrameOptions {
  /** Compression level of zstd, 1 to 19. Default: 3. */
  readonly level?: number;
  readonly dictionary?: Dictionary;
  /**
   * Whether to store a checksum of the raw bytes, for content that has no address of its own.
   * Default: false.
   */
  readonly checksum?: boolean;
}

/** Wraps `raw` in a frame, compressed where that makes it smaller. */
export function encodeFrame(raw: Uint8Array, options: FrameOptions = {}): Buffer {
  if (raw.length > MAX_FRAME_BYTES)
    throw new VarveError('TOO_LARGE', `a frame holds at most ${MAX_FRAME_BYTES} bytes`);
  const { dictionary, checksum = false, level = 3 } = options;
  const compressed = ZSTD.encode(
    raw,
    dictionary === undefined ? { level } : { level, dictionary: dictionary.bytes },
  );
  const isSmaller = compressed.length < raw.length;
  const usedDictionary = isSmaller ? dictionary : undefined;
  const payload = isSmaller ? compressed : raw;
  const out = new ByteWriter(payload.length + 64);
  out.bytes(MAGIC);
  out.varint(VERSION);
  out.varint(isSmaller ? ZSTD.number : RAW.number);
  out.varint((usedDictionary === undefined ? 0 : HAS_DICTIONARY) | (checksum ? HAS_CHECKSUM : 0));
  out.varint(raw.length);
  if (usedDictionary !== undefined) out.hex(usedDictionary.address);
  if (checksum) out.bytes(checksumOf(raw));
  out.bytes(payload);
  return out.view();
}

/**
 * Unwraps a frame.
 *
 * @param what names the frame in errors: its file and offset, or its key.
 * @param dictionaryOf finds a dictionary by its address; needed only for frames that name one.
 * @param prefix how many of the first bytes to return, at least. Default: all.
 * @throws `CORRUPT` when it is damaged, `UNSUPPORTED_FORMAT` when a newer Varve wrote it.
 */
export function decodeFrame(
  frame: Uint8Array,
  what: string,
  dictionaryOf?: (address: Address) => Uint8Array | undefined,
  prefix?: number,
): Uint8Array {
  const reader = new ByteReader(frame, what);
  if (!reader.bytes(MAGIC.length).equals(MAGIC))
    throw new VarveError('CORRUPT', `${what}: not a Varve frame`);
  const version = reader.varint();
  const codec = reader.varint();
  const flags = reader.varint();
  if (version !== VERSION) throw unknownNumber(what, 'frame format', version);
  if (flags > KNOWN_FLAGS) throw unknownNumber(what, 'set of frame flags', flags);
  const rawLength = reader.varint();
  if (rawLength > MAX_FRAME_BYTES)
    throw new VarveError(
      'CORRUPT',
      `${what}: declares ${rawLength} bytes, more than a frame may hold`,
    );
  let dictionary: Uint8Array | undefined;
  if (flags & HAS_DICTIONARY) {
    const address = reader.hex(ADDRESS_BYTES) as Address;
    dictionary = dictionaryOf?.(address);
    if (dictionary === undefined)
      throw new VarveError('CORRUPT', `${what}: needs dictionary ${address}, which is missing`);
  }
  const checksum = flags & HAS_CHECKSUM ? reader.bytes(CHECKSUM_BYTES) : undefined;
  const payload = reader.rest();
  let raw: Uint8Array;
  try {
    // A checksum is of all bytes.
    const isWhole = dictionary !== undefined || checksum !== undefined;
    if (prefix !== undefined && prefix < rawLength && !isWhole)
      return codecOf(codec).decodePrefix(payload, prefix);
    raw = codecOf(codec).decode(payload, rawLength, dictionary);
  } catch (cause) {
    if (cause instanceof VarveError)
      throw new VarveError(cause.code, `${what}: ${cause.message}`, { cause });
    throw cause;
  }
  if (checksum !== undefined && !checksum.equals(checksumOf(raw))) {
    throw new VarveError('CORRUPT', `${what}: the content does not match its checksum`);
  }
  return raw;
}

function checksumOf(raw: Uint8Array): Buffer {
  return (hash('sha256', raw, 'buffer') as Buffer).subarray(0, CHECKSUM_BYTES);
}
