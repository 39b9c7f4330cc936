import { hash } from 'node:crypto';
import { checkBytes, invalid, shown } from './arguments.ts';
import { name } from './name.ts';

/**
 * The address of a segment: the SHA-256 (FIPS 180-4) of its canonical bytes, as 64 lower-case hex
 * digits, so that `sha256sum` on the exported bytes verifies it.
 */
export type Address = string & { readonly __brand: 'Address' };

const ADDRESS = /^[0-9a-f]{64}$/;

/** Length of an address in bytes, as formats store it. */
export const ADDRESS_BYTES = 32;

/**
 * Returns the address of canonical bytes.
 *
 * ```ts
 * const address = addressOf(new TextEncoder().encode('some bytes'));
 * ```
 *
 * @throws `INVALID_ARGUMENT` for anything but bytes.
 */
export function addressOf(bytes: Uint8Array): Address {
  checkBytes('the argument of addressOf', bytes);
  return name(hash('sha256', bytes, 'hex') as Address);
}

/**
 * Whether `value` has the form of an address.
 *
 * ```ts
 * const given: unknown = process.argv[2];
 * if (isAddress(given)) console.log(await store.segments.has(given));
 * ```
 */
export function isAddress(value: unknown): value is Address {
  return typeof value === 'string' && ADDRESS.test(value);
}

/**
 * Reads an address given by a caller.
 *
 * ```ts
 * const bytes = await store.segments.get(parseAddress(process.argv[2]));
 * ```
 *
 * @throws `INVALID_ARGUMENT` when it is not 64 lower-case hex digits.
 */
export function parseAddress(value: unknown): Address {
  if (!isAddress(value)) {
    throw invalid(`not a segment address (64 lower-case hex digits): ${shown(value)}`);
  }
  return value;
}
