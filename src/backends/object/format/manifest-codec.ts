import { z } from 'zod';
import { decodeSealed, encodeSealed, type SealedAs } from '../../../cas/codec/seal.ts';
import { ByteReader, ByteWriter } from '../../../cas/codec/varint.ts';
import type { Address } from '../../../core/address.ts';
import { VarveError } from '../../../core/errors.ts';
import { MANIFEST_KINDS, type ManifestKey } from '../../contract/manifests.ts';
import { manifestObjectKey } from './keys.ts';
import type {
  ManifestContent,
  ManifestRecord,
  RecordBody,
  RecordEntry,
  Reference,
} from './manifest-record.ts';
import type { AttemptId } from './sidecar.ts';
import { assertReadable, decodeJson, type JsonFormat } from './stored-json.ts';

/**
 * A manifest's object is a checksummed frame of: varint length of the header, the header (JSON,
 * {@link HEADER}), and the inline bodies, one after the other, in the order of their entries.
 * Addresses are written once, in `addresses`; everything else refers to them by position.
 */
const LEVEL = 9;

const count = z.int().min(0);
const HEADER = z.strictObject({
  v: z.literal(1),
  kind: z.enum(MANIFEST_KINDS),
  id: z.string(),
  seq: count,
  nonce: z.string(),
  applied: z.array(z.string()),
  addresses: z.array(z.string().regex(/^[0-9a-f]{64}$/)),
  current: z
    .strictObject({
      revision: z.string(),
      application: z.string().optional(),
      model: z.string().optional(),
      createdAt: z.number(),
      updatedAt: z.number(),
      expiresAt: z.number().optional(),
      logicalBytes: z.number(),
      hold: z.strictObject({ since: z.number(), reason: z.string().optional() }).optional(),
      archived: z.tuple([z.number(), z.number()]),
      idempotencyKeys: z.array(z.string()).optional(),
      /** Of references: position of the address, generation, attempt. */
      holds: z.array(z.tuple([count, z.string(), z.string()])),
      /** The length of an inline body, or a spilled one; then positions of addresses. */
      entries: z.array(
        z.tuple([
          z.union([
            count,
            z.strictObject({
              digest: z.string(),
              offset: count,
              length: count,
              parts: z.array(z.tuple([count, count])),
            }),
          ]),
          z.array(count),
        ]),
      ),
    })
    .optional(),
  pending: z
    .array(
      z.strictObject({
        nonce: z.string(),
        beat: z.string(),
        leaseMs: z.number(),
        adds: z.array(count),
      }),
    )
    .optional(),
  releasing: z.array(z.tuple([count, z.string()])).optional(),
});

type Header = z.infer<typeof HEADER>;

const FORMAT: JsonFormat<Header> = { name: 'manifest', schema: HEADER };

/** @throws `INTERNAL` for a record that {@link decodeRecord} would refuse. */
export function encodeRecord(record: ManifestRecord): Buffer {
  const addresses = new Positions();
  const bodies: Uint8Array[] = [];
  const { key, seq, nonce, applied, current, pending, dropped } = record;
  const header: Omit<Header, 'addresses'> = {
    v: 1,
    kind: key.kind,
    id: key.id,
    seq,
    nonce,
    applied: [...applied],
    current: current && encodeContent(current, addresses, bodies),
    pending:
      pending.length === 0
        ? undefined
        : pending.map(({ attempt, beat, heartbeatTimeoutMs, adds }) => ({
            nonce: attempt,
            beat,
            leaseMs: heartbeatTimeoutMs,
            adds: adds.map(addresses.of),
          })),
    releasing:
      dropped.length === 0
        ? undefined
        : dropped.map((each) => [addresses.of(each.address), each.attempt]),
  };
  const whole = { ...header, addresses: addresses.all };
  const objectKey = manifestObjectKey(key);
  assertReadable(whole, FORMAT, objectKey);
  const json = Buffer.from(JSON.stringify(whole));
  const out = new ByteWriter(json.length + bodies.reduce((sum, body) => sum + body.length, 0) + 8);
  out.varint(json.length);
  out.bytes(json);
  for (const body of bodies) out.bytes(body);
  return encodeSealed(out.view(), sealedAs(objectKey), { level: LEVEL, checksum: true });
}

/** @throws `CORRUPT`, naming the object; `UNSUPPORTED_FORMAT` for one that a newer Varve wrote. */
export function decodeRecord(
  stored: Uint8Array,
  objectKey: string,
  expected: ManifestKey | undefined,
): ManifestRecord {
  const reader = new ByteReader(decodeSealed(stored, sealedAs(objectKey), objectKey), objectKey);
  const header = decodeJson(reader.bytes(reader.varint()), FORMAT, objectKey);
  const key: ManifestKey = { kind: header.kind, id: header.id };
  if (expected !== undefined && (expected.kind !== key.kind || expected.id !== key.id)) {
    throw new VarveError('CORRUPT', `${objectKey}: holds ${key.kind} ${JSON.stringify(key.id)}`);
  }
  const addressAt = (position: number): Address => {
    const address = header.addresses[position];
    if (address === undefined)
      throw new VarveError('CORRUPT', `${objectKey}: refers to an address that it does not list`);
    return address as Address;
  };
  const current = header.current && decodeContent(header.current, addressAt, reader);
  reader.end();
  return {
    key,
    seq: header.seq,
    nonce: header.nonce,
    applied: header.applied,
    current,
    pending: (header.pending ?? []).map(({ nonce, beat, leaseMs, adds }) => ({
      attempt: nonce as AttemptId,
      beat,
      heartbeatTimeoutMs: leaseMs,
      adds: adds.map(addressAt),
    })),
    dropped: (header.releasing ?? []).map(([at, nonce]) => ({
      address: addressAt(at),
      attempt: nonce as AttemptId,
    })),
  };
}

function encodeContent(
  content: ManifestContent,
  addresses: Positions,
  bodies: Uint8Array[],
): Header['current'] {
  const { references, entries, idempotencyKeys, archived, ...fields } = content;
  return {
    ...fields,
    archived: [...archived],
    idempotencyKeys: idempotencyKeys.length === 0 ? undefined : [...idempotencyKeys],
    holds: [...references].map(([address, { gen, attempt }]) => [
      addresses.of(address),
      gen,
      attempt,
    ]),
    entries: entries.map(({ body, segments }) => {
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
    }),
  };
}

function decodeContent(
  content: NonNullable<Header['current']>,
  addressAt: (position: number) => Address,
  reader: ByteReader,
): ManifestContent {
  const { holds, entries, idempotencyKeys = [], ...fields } = content;
  return {
    ...(fields as unknown as Omit<ManifestContent, 'references' | 'entries' | 'idempotencyKeys'>),
    idempotencyKeys,
    references: new Map(
      holds.map(([at, gen, nonce]) => [addressAt(at), { gen, attempt: nonce } as Reference]),
    ),
    entries: entries.map(([body, segments]): RecordEntry => {
      const decoded: RecordBody =
        typeof body === 'number'
          ? { kind: 'inline', bytes: reader.bytes(body) }
          : {
              kind: 'spilled',
              digest: body.digest as Address,
              offset: body.offset,
              length: body.length,
              parts: body.parts.map(([at, length]) => ({ address: addressAt(at), length })),
            };
      return { body: decoded, segments: segments.map(addressAt) };
    }),
  };
}

/** Numbers addresses in the order of their first use. */
class Positions {
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

function sealedAs(objectKey: string): SealedAs {
  return { role: 'manifest', identity: objectKey };
}
