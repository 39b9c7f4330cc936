import { VarveError } from '../../core/errors.ts';

/**
 * What S3 and services like it accept. Stores in memory enforce the same, so that tests find what a
 * service would refuse.
 */

/** Keys in one `delete`. */
export const MAX_DELETE_KEYS = 1000;

/** Objects on one page of a list. */
export const MAX_LISTED_OBJECTS = 1000;

/** Bytes of UTF-8 in a key, the prefix of the store included. */
export const MAX_KEY_BYTES = 1024;

/** Not in XML 1.0, which services answer in; or folded by what normalizes paths. */
const UNSAFE_KEY = /[\p{Cc}\ufffe\uffff]|(^|\/)\.{1,2}(\/|$)/u;

/** @throws `INVALID_ARGUMENT` for a key that some service refuses or alters. */
export function checkObjectKey(key: string): void {
  const bytes = Buffer.byteLength(key);
  const isSafe = key.isWellFormed() && !UNSAFE_KEY.test(key);
  if (isSafe && bytes > 0 && bytes <= MAX_KEY_BYTES) return;
  throw new VarveError(
    'INVALID_ARGUMENT',
    `a key is 1 to ${MAX_KEY_BYTES} bytes of UTF-8, without control characters and without ` +
      '"." or ".." between ' +
      `slashes; not ${JSON.stringify(key)}`,
  );
}

/** @throws `INVALID_ARGUMENT` for more keys than one request may delete. */
export function checkDeletedKeys(keys: readonly string[]): void {
  if (keys.length > MAX_DELETE_KEYS) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `at most ${MAX_DELETE_KEYS} objects are deleted at once; not ${keys.length}`,
    );
  }
}

/** @throws `INVALID_ARGUMENT` for a number of objects that no page may have. */
export function checkListLimit(limit: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LISTED_OBJECTS) return;
  throw new VarveError(
    'INVALID_ARGUMENT',
    `a page has 1 to ${MAX_LISTED_OBJECTS} objects; not ${limit}`,
  );
}
