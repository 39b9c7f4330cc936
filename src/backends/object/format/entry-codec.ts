import { z } from 'zod';
import type { ByteReader } from '../../../cas/codec/varint.ts';
import type { Address } from '../../../core/address.ts';
import { VarveError } from '../../../core/errors.ts';
import type { HeldReference, RecordBody, RecordEntry } from './manifest-record.ts';
import type { AttemptId, Generation } from './sidecar.ts';

/**
 * How records and pages write entries and references: addresses once, in a list, and everywhere
 * else by their position in it; inline bodies behind the JSON, in the order of their entries.
 */
export const POSITION = z.int().min(0);

export const ADDRESSES = z.array(z.string().regex(/^[0-9a-f]{64}$/));

/** Position of the address, generation, attempt. */
export const REFERENCES = z.array(z.tuple([POSITION, z.string(), z.string()]));

/** The length of an inline body, or a spilled one; then positions of addresses. */
export const ENTRIES = z.array(
  z.tuple([
    z.union([
      POSITION,
      z.strictObject({
        digest: z.string(),
        offset: POSITION,
        length: POSITION,
        parts: z.array(z.tuple([POSITION, POSITION])),
      }),
    ]),
    z.array(POSITION),
  ]),
);

/** Numbers addresses in the order of their first use. */
export class Positions {
  readonly #positions = new Map<Address, number>();

  /** An arrow function, so that it can be passed to `map`. */
  readonly of = (address: Address): number => {
    const known = this.#positions.get(address);
    if (known !== undefined) return known;
    this.#positions.set(address, this.#positions.size);
    return this.#positions.size - 1;
  };

  get all(): Address[] {
    return [...this.#positions.keys()];
  }
}

/** The reverse of {@link Positions}. @throws `CORRUPT`, naming `what`. */
export function addressesIn(
  listed: readonly string[],
  what: string,
): (position: number) => Address {
  return (position) => {
    const address = listed[position];
    if (address === undefined)
      throw new VarveError('CORRUPT', `${what}: refers to an address that it does not list`);
    return address as Address;
  };
}

/** Adds inline bodies to `bodies`. */
export function encodeEntries(
  entries: readonly RecordEntry[],
  addresses: Positions,
  bodies: Uint8Array[],
): z.infer<typeof ENTRIES> {
  return entries.map(({ body, segments }) => {
    const positions = segments.map(addresses.of);
    if (body.kind === 'inline') {
      bodies.push(body.bytes);
      return [body.bytes.length, positions];
    }
    const { digest, offset, length } = body;
    const parts = body.parts.map((part): [number, number] => [
      addresses.of(part.address),
      part.length,
    ]);
    return [{ digest, offset, length, parts }, positions];
  });
}

/** @param bodies reads the inline bodies. */
export function decodeEntries(
  entries: z.infer<typeof ENTRIES>,
  addressAt: (position: number) => Address,
  bodies: ByteReader,
): RecordEntry[] {
  return entries.map(([body, segments]) => {
    const decoded: RecordBody =
      typeof body === 'number'
        ? { kind: 'inline', bytes: bodies.bytes(body) }
        : {
            kind: 'spilled',
            digest: body.digest as Address,
            offset: body.offset,
            length: body.length,
            parts: body.parts.map(([at, length]) => ({ address: addressAt(at), length })),
          };
    return { body: decoded, segments: segments.map(addressAt) };
  });
}

export function encodeReferences(
  references: Iterable<HeldReference>,
  addresses: Positions,
): z.infer<typeof REFERENCES> {
  return Array.from(references, ({ address, gen, attempt }) => [
    addresses.of(address),
    gen,
    attempt,
  ]);
}

export function decodeReferences(
  references: z.infer<typeof REFERENCES>,
  addressAt: (position: number) => Address,
): HeldReference[] {
  return references.map(([at, gen, attempt]) => ({
    address: addressAt(at),
    gen: gen as Generation,
    attempt: attempt as AttemptId,
  }));
}
