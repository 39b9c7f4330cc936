import { z } from 'zod';
import { decodeSealed, encodeSealed, type SealedAs } from '../../../cas/codec/seal.ts';
import { ByteReader, ByteWriter } from '../../../cas/codec/varint.ts';
import type { Address } from '../../../core/address.ts';
import { VarveError } from '../../../core/errors.ts';
import { MANIFEST_KINDS, type ManifestKey } from '../../contract/manifests.ts';
import {
  ADDRESSES,
  addressesIn,
  decodeEntries,
  decodeReferences,
  ENTRIES,
  encodeEntries,
  encodeReferences,
  POSITION,
  Positions,
  REFERENCES,
} from './entry-codec.ts';
import { manifestObjectKey } from './keys.ts';
import { heldOf, type ManifestContent, type ManifestRecord, pagesOf } from './manifest-record.ts';
import type { AttemptId, Generation } from './sidecar.ts';
import { assertReadable, decodeJson, type JsonFormat } from './stored-json.ts';

/**
 * A manifest's object is a checksummed frame of: varint length of the header, the header (JSON,
 * {@link HEADER}), and the inline bodies, one after the other, in the order of their entries.
 * Addresses are written once, in `addresses`; everything else refers to them by position.
 */
const LEVEL = 9;

/** Fields that a list shows, as they are stored. */
export const HEAD_FIELDS = {
  revision: z.string(),
  application: z.string().optional(),
  model: z.string().optional(),
  createdAt: z.number(),
  updatedAt: z.number(),
  expiresAt: z.number().optional(),
  logicalBytes: z.number(),
  hold: z.strictObject({ since: z.number(), reason: z.string().optional() }).optional(),
};

/** The order of archiving: ms, and a count within it. */
export const ARCHIVED = z.tuple([z.number(), z.number()]);

const CURRENT = z.strictObject({
  ...HEAD_FIELDS,
  archived: ARCHIVED,
  idempotencyKeys: z.array(z.string()).optional(),
  holds: REFERENCES,
  entries: ENTRIES,
});

/** Position of the address, attempt. */
const DROPPED = z.tuple([POSITION, z.string()]);

const HEADER = z.strictObject({
  v: z.literal(1),
  kind: z.enum(MANIFEST_KINDS),
  id: z.string(),
  seq: POSITION,
  nonce: z.string(),
  applied: z.array(z.string()),
  addresses: ADDRESSES,
  current: CURRENT.optional(),
  pending: z
    .array(
      z.strictObject({
        nonce: z.string(),
        beat: z.string(),
        leaseMs: z.number(),
        adds: z.array(POSITION),
      }),
    )
    .optional(),
  releasing: z.array(DROPPED).optional(),
});

/** Version 2 has pages: a reader that does not know them has to refuse the record. */
const HEADER2 = HEADER.extend({
  v: z.literal(2),
  current: CURRENT.extend({
    /** Position of the address, number of entries. */
    pages: z.array(z.tuple([POSITION, POSITION])).optional(),
    keyPages: z.array(POSITION).optional(),
  }).optional(),
  /** The third is the generation of a page whose references go with it. */
  releasing: z.array(z.union([DROPPED, z.tuple([POSITION, z.string(), z.string()])])).optional(),
});

type Header = z.infer<typeof HEADER> | z.infer<typeof HEADER2>;

type Current = NonNullable<z.infer<typeof HEADER2>['current']>;

const FORMAT: JsonFormat<Header> = {
  name: 'manifest',
  schema: z.discriminatedUnion('v', [HEADER, HEADER2]),
  newest: 2,
};

/** @throws `INTERNAL` for a record that {@link decodeRecord} would refuse. */
export function encodeRecord(record: ManifestRecord): Buffer {
  const addresses = new Positions();
  const bodies: Uint8Array[] = [];
  const { key, seq, nonce, applied, current, pending, dropped } = record;
  const hasPages =
    (current !== undefined && pagesOf(current).length > 0) ||
    dropped.some(({ page }) => page !== undefined);
  const header = {
    v: hasPages ? 2 : 1,
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
        : dropped.map(({ address, attempt, page }) => [
            addresses.of(address),
            attempt,
            ...(page === undefined ? [] : [page]),
          ]),
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
  const addressAt = addressesIn(header.addresses, objectKey);
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
    dropped: (header.releasing ?? []).map(([at, nonce, page]) => ({
      address: addressAt(at),
      attempt: nonce as AttemptId,
      ...(page !== undefined && { page: page as Generation }),
    })),
  };
}

function encodeContent(
  content: ManifestContent,
  addresses: Positions,
  bodies: Uint8Array[],
): Current {
  const { references, entries, pages, keyPages, idempotencyKeys, archived, ...fields } = content;
  return {
    ...fields,
    archived: [...archived],
    idempotencyKeys: idempotencyKeys.length === 0 ? undefined : [...idempotencyKeys],
    holds: encodeReferences(heldOf(references), addresses),
    entries: encodeEntries(entries, addresses, bodies),
    ...(pages.length > 0 && {
      pages: pages.map((page): [number, number] => [addresses.of(page.address), page.entries]),
    }),
    ...(keyPages.length > 0 && { keyPages: keyPages.map(addresses.of) }),
  };
}

function decodeContent(
  content: Current,
  addressAt: (position: number) => Address,
  reader: ByteReader,
): ManifestContent {
  const { holds, entries, pages = [], keyPages = [], idempotencyKeys = [], ...fields } = content;
  const references = decodeReferences(holds, addressAt);
  return {
    ...(fields as unknown as Omit<ManifestContent, keyof Stored>),
    pages: pages.map(([at, count]) => ({ address: addressAt(at), entries: count })),
    keyPages: keyPages.map(addressAt),
    idempotencyKeys,
    references: new Map(references.map(({ address, ...reference }) => [address, reference])),
    entries: decodeEntries(entries, addressAt, reader),
  };
}

/** The parts of a content that are stored in another form. */
type Stored = Pick<
  ManifestContent,
  'pages' | 'keyPages' | 'idempotencyKeys' | 'references' | 'entries'
>;

function sealedAs(objectKey: string): SealedAs {
  return { role: 'manifest', identity: objectKey };
}
