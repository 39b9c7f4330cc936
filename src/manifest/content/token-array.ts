/**
 * Converts token ids between JSON arrays and token segments (little-endian uint32). Both directions
 * work on bytes: ten million ids never become a JavaScript string.
 */

import { joining, STEP_BYTES, type Steps } from '../../core/steps.ts';

/** Parses ids in decimal with one separator of one or two bytes into canonical bytes. */
export function* parsingTokens(digits: Buffer): Steps<Buffer> {
  const pieces: Buffer[] = [];
  for (let start = 0; start < digits.length; ) {
    const comma =
      start + STEP_BYTES < digits.length ? digits.indexOf(0x2c, start + STEP_BYTES) : -1;
    const end = comma < 0 ? digits.length : comma;
    pieces.push(parseTokens(digits.subarray(start, end)));
    if (comma < 0) break;
    start = digits[comma + 1] === 0x20 ? comma + 2 : comma + 1;
    yield;
  }
  return yield* joining(pieces);
}

/** Prints ids in decimal, separated by `,` or by `, `. */
export function* printingTokens(ids: Buffer, spaced: boolean): Steps<Buffer> {
  if (ids.length <= STEP_BYTES) return printTokens(ids, spaced);
  const separator = Buffer.from(spaced ? ', ' : ',');
  const pieces: Buffer[] = [];
  for (let start = 0; start < ids.length; start += STEP_BYTES) {
    if (start > 0) pieces.push(separator);
    pieces.push(printTokens(ids.subarray(start, start + STEP_BYTES), spaced));
    yield;
  }
  return yield* joining(pieces);
}

function parseTokens(digits: Buffer): Buffer {
  if (digits.length === 0) return Buffer.alloc(0);
  let count = 1;
  for (let at = digits.indexOf(0x2c); at >= 0; at = digits.indexOf(0x2c, at + 1)) count++;
  const ids = Buffer.allocUnsafe(count * 4);
  let out = 0;
  for (let at = 0; at <= digits.length; ) {
    let value = 0;
    let byte = digits[at];
    while (byte !== undefined && byte >= 0x30) {
      value = value * 10 + byte - 0x30;
      byte = digits[++at];
    }
    out = ids.writeUInt32LE(value, out);
    at++;
    if (digits[at] === 0x20) at++;
  }
  return ids;
}

/** {@link printingTokens} at once. */
export function printTokens(ids: Buffer, spaced: boolean): Buffer {
  const count = ids.length / 4;
  // An id has at most ten digits.
  const digits = Buffer.allocUnsafe(count * (spaced ? 12 : 11));
  let out = 0;
  for (let index = 0; index < count; index++) {
    if (index > 0) {
      digits[out++] = 0x2c;
      if (spaced) digits[out++] = 0x20;
    }
    let rest = ids.readUInt32LE(index * 4);
    const start = out;
    do {
      digits[out++] = 0x30 + (rest % 10);
      rest = Math.floor(rest / 10);
    } while (rest > 0);
    for (let low = start, high = out - 1; low < high; low++, high--) {
      const digit = digits[low] as number;
      digits[low] = digits[high] as number;
      digits[high] = digit;
    }
  }
  return Buffer.from(digits.subarray(0, out));
}
