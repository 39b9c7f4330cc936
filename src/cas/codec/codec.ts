import zstd from 'zstd-napi/binding.js';
import { VarveError } from '../../core/errors.ts';
import { unknownNumber } from '../../core/format-number.ts';

/**
 * Turns bytes into fewer bytes and back. The number of a codec is part of the formats and never
 * changes its meaning.
 */
export interface Codec {
  readonly number: number;
  readonly name: string;
  encode(raw: Uint8Array, options: CodecOptions): Uint8Array;
  /**
   * Returns exactly `rawLength` bytes and allocates no more than that; throws `CORRUPT` when
   * `payload` has another length.
   */
  decode(payload: Uint8Array, rawLength: number, dictionary: Uint8Array | undefined): Uint8Array;
  /** Returns the first `length` bytes, without decoding the rest. */
  decodePrefix(payload: Uint8Array, length: number): Uint8Array;
}

export interface CodecOptions {
  /** Compression level of zstd, 1 to 19. */
  readonly level: number;
  readonly dictionary?: Uint8Array;
}

const raw: Codec = {
  number: 0,
  name: 'raw',
  encode: (bytes) => bytes,
  decode(payload, rawLength) {
    if (payload.length !== rawLength)
      throw damaged('raw', `${payload.length} bytes stored where ${rawLength} belong`);
    return payload;
  },
  decodePrefix: (payload, length) => payload.subarray(0, length),
};

const compressor = new zstd.CCtx();
const decompressor = new zstd.DCtx();
/** Leaves a frame that was decoded in part. */
const SESSION_ONLY = zstd.ResetDirective.sessionOnly;
let scratch = Buffer.alloc(0);

const zstandard: Codec = {
  number: 1,
  name: 'zstd',
  encode(bytes, { level, dictionary }) {
    const bound = zstd.compressBound(bytes.length);
    if (scratch.length < bound) scratch = Buffer.allocUnsafeSlow(bound);
    const length =
      dictionary === undefined
        ? compressor.compress(scratch, bytes, level)
        : compressor.compressUsingDict(scratch, bytes, dictionary, level);
    const compressed = Buffer.from(scratch.subarray(0, length));
    if (scratch.length > SCRATCH_KEPT) scratch = Buffer.alloc(0);
    return compressed;
  },
  decode(payload, rawLength, dictionary) {
    const target = Buffer.allocUnsafeSlow(rawLength);
    let length: number;
    try {
      length =
        dictionary === undefined
          ? decompressor.decompress(target, payload)
          : decompressor.decompressUsingDict(target, payload, dictionary);
    } catch (cause) {
      throw damaged('zstd', cause instanceof Error ? cause.message : String(cause), cause);
    }
    if (length !== rawLength)
      throw damaged('zstd', `${length} bytes came out where ${rawLength} belong`);
    return target;
  },
  decodePrefix(payload, length) {
    const target = Buffer.allocUnsafeSlow(length);
    try {
      decompressor.reset(SESSION_ONLY);
      for (let filled = 0, used = 0; filled < length; ) {
        const [, written, read] = decompressor.decompressStream(
          target.subarray(filled),
          payload.subarray(used),
        );
        if (written === 0 && read === 0) throw damaged('zstd', `it ends after ${filled} bytes`);
        filled += written;
        used += read;
      }
    } catch (cause) {
      if (cause instanceof VarveError) throw cause;
      throw damaged('zstd', cause instanceof Error ? cause.message : String(cause), cause);
    } finally {
      decompressor.reset(SESSION_ONLY);
    }
    return target;
  },
};

/** The compressor's output buffer is kept between calls up to this many bytes. */
const SCRATCH_KEPT = 8 * 1024 * 1024;

const CODECS: ReadonlyMap<number, Codec> = new Map(
  [raw, zstandard].map((codec) => [codec.number, codec]),
);

/** Stores bytes as they are. */
export const RAW: Codec = raw;

/** Zstandard (RFC 8878), with a raw-content or trained dictionary where one is given. */
export const ZSTD: Codec = zstandard;

/**
 * The codec of that number.
 *
 * @throws `UNSUPPORTED_FORMAT` or `CORRUPT` when this version of Varve does not know it.
 */
export function codecOf(number: number): Codec {
  const codec = CODECS.get(number);
  if (codec === undefined) throw unknownNumber('stored bytes', 'codec', number);
  return codec;
}

function damaged(codec: string, detail: string, cause?: unknown): VarveError {
  return new VarveError('CORRUPT', `${codec} payload does not decode: ${detail}`, { cause });
}
