import { z } from 'zod';
import { ByteReader, ByteWriter } from '../../../cas/codec/varint.ts';
import type { Address } from '../../../core/address.ts';
import { VarveError } from '../../../core/errors.ts';
import {
  ADDRESSES,
  addressesIn,
  decodeEntries,
  decodeReferences,
  ENTRIES,
  encodeEntries,
  encodeReferences,
  Positions,
  REFERENCES,
} from './entry-codec.ts';
import {
  type HeldReference,
  type ManifestContent,
  pagesOf,
  type RecordEntry,
  type Reference,
} from './manifest-record.ts';
import { assertReadable, decodeJson, type JsonFormat } from './stored-json.ts';

/**
 * What a page holds of one manifest: older entries and the references that they need, or older
 * idempotency keys. A page is the content of a segment that only its manifest references: it has
 * the manifest's name in it, and a nonce, so that no other manifest stores the same bytes.
 */
export interface PageContent {
  /** Names the manifest, as in tokens. */
  readonly referrer: string;
  readonly entries: readonly RecordEntry[];
  /** A segment may occur several times, each time with the reference of another attempt. */
  readonly references: readonly HeldReference[];
  /** As in a record, oldest first. */
  readonly idempotencyKeys: readonly string[];
}

const HEADER = z.strictObject({
  v: z.literal(1),
  holder: z.string(),
  nonce: z.string(),
  addresses: ADDRESSES,
  holds: REFERENCES,
  entries: ENTRIES,
  idempotencyKeys: z.array(z.string()).optional(),
});

const FORMAT: JsonFormat<z.infer<typeof HEADER>> = { name: 'page', schema: HEADER };

/** @throws `INTERNAL` for a page that {@link decodePage} would refuse. */
export function encodePage(
  { referrer, entries, references, idempotencyKeys }: PageContent,
  nonce: string,
): Buffer {
  const addresses = new Positions();
  const bodies: Uint8Array[] = [];
  const header = {
    v: 1,
    holder: referrer,
    nonce,
    holds: encodeReferences(references, addresses),
    entries: encodeEntries(entries, addresses, bodies),
    ...(idempotencyKeys.length > 0 && { idempotencyKeys }),
  };
  const whole = { ...header, addresses: addresses.all };
  assertReadable(whole, FORMAT, 'a page');
  const json = Buffer.from(JSON.stringify(whole));
  const out = new ByteWriter(json.length + bodies.reduce((sum, { length }) => sum + length, 0) + 8);
  out.varint(json.length);
  out.bytes(json);
  for (const body of bodies) out.bytes(body);
  return Buffer.from(out.view());
}

/**
 * @param referrer the manifest that references the page.
 * @param what names the page in errors.
 * @throws `CORRUPT`, for a page of another manifest, too; `UNSUPPORTED_FORMAT`.
 */
export function decodePage(bytes: Uint8Array, referrer: string, what: string): PageContent {
  const reader = new ByteReader(bytes, what);
  const header = decodeJson(reader.bytes(reader.varint()), FORMAT, what);
  if (header.holder !== referrer)
    throw new VarveError('CORRUPT', `${what}: the page of another manifest`);
  const addressAt = addressesIn(header.addresses, what);
  const entries = decodeEntries(header.entries, addressAt, reader);
  reader.end();
  return {
    referrer,
    entries,
    references: decodeReferences(header.holds, addressAt),
    idempotencyKeys: header.idempotencyKeys ?? [],
  };
}

/** The content with the entries and keys of all its pages in the record. */
export function withoutPages(
  content: ManifestContent,
  pages: readonly PageContent[],
): ManifestContent {
  const inPages = new Set(pagesOf(content));
  const references = new Map<Address, Reference>();
  for (const { address, gen, attempt } of pages.flatMap((page) => page.references))
    references.set(address, { gen, attempt });
  for (const [address, reference] of content.references)
    if (!inPages.has(address)) references.set(address, reference);
  return {
    ...content,
    pages: [],
    keyPages: [],
    idempotencyKeys: [...pages.flatMap((page) => page.idempotencyKeys), ...content.idempotencyKeys],
    entries: [...pages.flatMap((page) => page.entries), ...content.entries],
    references,
  };
}
