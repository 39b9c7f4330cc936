import { types } from 'node:util';
import { MAX_SEGMENT_BYTES } from '../backends/contract/manifests.ts';
import { invalid, reading, shown } from '../core/arguments.ts';
import { VarveError } from '../core/errors.ts';

/** The largest token id: ids are unsigned 32-bit integers. */
const MAX_TOKEN_ID = 2 ** 32 - 1;

/** Most ids in one segment. */
const MAX_TOKENS = MAX_SEGMENT_BYTES / 4;

const LITTLE_ENDIAN_HOST = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/**
 * The canonical bytes of token ids: each a little-endian uint32, so that
 * `hashlib.sha256(numpy.asarray(ids, '<u4'))` gives the same address.
 *
 * @throws `INVALID_ARGUMENT` when an id is not an integer from 0 to 2^32-1.
 */
export function tokenSegmentBytes(ids: Uint32Array | readonly number[]): Buffer {
  const own = types.isUint32Array(ids) ? Uint32Array.from(ids) : checkedIds(ids);
  const bytes = Buffer.from(own.buffer);
  return LITTLE_ENDIAN_HOST ? bytes : bytes.swap32();
}

/**
 * The token ids of canonical bytes, in memory of their own.
 *
 * @throws `INVALID_ARGUMENT` when the bytes are not a whole number of ids.
 */
export function tokenSegmentIds(bytes: Uint8Array): Uint32Array {
  if (bytes.length % 4 !== 0) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${bytes.length} bytes are not token ids: their number is not a multiple of 4`,
    );
  }
  const own = new Uint8Array(bytes);
  if (!LITTLE_ENDIAN_HOST) Buffer.from(own.buffer).swap32();
  return new Uint32Array(own.buffer);
}

function checkedIds(ids: readonly number[]): Uint32Array {
  return reading('token ids', () => {
    if (!Array.isArray(ids))
      throw invalid(`token ids are a Uint32Array or an array of numbers; not ${shown(ids)}`);
    if (ids.length > MAX_TOKENS)
      throw new VarveError('TOO_LARGE', `a segment has at most ${MAX_TOKENS} token ids`);
    return Uint32Array.from(ids, (id: unknown, at) => {
      if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id <= MAX_TOKEN_ID)
        return id;
      throw invalid(`token ids are integers from 0 to ${MAX_TOKEN_ID}; at ${at}: ${shown(id)}`);
    });
  });
}
