import { hash } from 'node:crypto';
import { VarveError } from './errors.ts';

/**
 * The address of a segment: the SHA-256 (FIPS 180-4) of its canonical bytes, as 64 lower-case hex digits, so that
 * `sha256sum` on the exported bytes verifies it.
 */
export type Address = string & { readonly __brand: 'Address' };

const ADDRESS = /^[0-9a-f]{64}$/;

/** Length of an address in bytes, as formats store it. */
export const ADDRESS_BYTES = 32;

/** The address of the given canonical bytes. */
export function addressOf(bytes: Uint8Array): Address {
  return hash('sha256', bytes, 'hex') as Address;
}

/** Whether `value` is written as an address is. */
export function isAddress(value: string): value is Address {
  return ADDRESS.test(value);
}

/**
 * Reads an address given by a caller.
 *
 * @throws `INVALID_ARGUMENT` when it is not 64 lower-case hex digits.
 */
export function parseAddress(value: string): Address {
  if (!isAddress(value)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `not a segment address (64 lower-case hex digits): ${JSON.stringify(value)}`,
    );
  }
  return value;
}
