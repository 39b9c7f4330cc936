import type {
  ListFilter,
  Locator,
  ManifestFields,
  ManifestHead,
  ManifestHold,
  ManifestKey,
  ManifestKind,
  NewEntry,
  PutWrite,
  Revision,
  SegmentEncoding,
  StoredEntry,
} from '../../src/backends/contract/manifests.ts';
import type { StoredReport } from '../../src/backends/contract/reports.ts';
import type { Address } from '../../src/core/address.ts';
import { VarveError } from '../../src/core/errors.ts';

export interface Segment {
  readonly address: Address;
  readonly encoding: SegmentEncoding;
  readonly bytes: Uint8Array;
  readonly locator: Locator;
  /** Manifest entries that reference it. */
  references: number;
  /** When the last reference went. */
  unreferencedSince: number;
}

export interface Entry {
  readonly body: Uint8Array;
  readonly segments: readonly Segment[];
}

export interface Manifest {
  readonly key: ManifestKey;
  /** Position in the order of archiving. */
  readonly archived: number;
  /** Of the appends since its content was last put. */
  readonly idempotencyKeys: Set<string>;
  revision: Revision;
  fields: ManifestFields & { readonly createdAt: number };
  updatedAt: number;
  hold?: ManifestHold | undefined;
  entries: Entry[];
}

/** What several `ModelBackend` handles share: the store itself. */
export class ModelStore {
  readonly segments = new Map<Address, Segment>();
  readonly byLocator = new Map<Locator, Segment>();
  readonly manifests: Record<ManifestKind, Map<string, Manifest>> = {
    conversation: new Map(),
    blob: new Map(),
    pin: new Map(),
  };
  readonly reports: StoredReport[] = [];
  readonly leases = new Map<string, { holder: number; until: number }>();
  #serial = 0;

  /** A number never returned before: for locators, revisions and the order of archiving. */
  next(): number {
    this.#serial += 1;
    return this.#serial;
  }
}

export function nameOf({ kind, id }: ManifestKey): string {
  return `${kind} ${JSON.stringify(id)}`;
}

export function conflict(key: ManifestKey): VarveError {
  return new VarveError(
    'CONFLICT',
    `${nameOf(key)} is not at the expected revision: read it again`,
  );
}

/** Fields and entries are content; a `createdAt` that the writer left open is not. */
export function sameContent(stored: Manifest, write: PutWrite): boolean {
  const { fields } = write;
  return (
    stored.fields.application === fields.application &&
    stored.fields.model === fields.model &&
    stored.fields.expiresAt === fields.expiresAt &&
    stored.fields.logicalBytes === fields.logicalBytes &&
    (fields.createdAt ?? stored.fields.createdAt) === stored.fields.createdAt &&
    stored.entries.length === write.entries.length &&
    write.entries.every((entry, i) => sameEntry(stored.entries[i] as Entry, entry))
  );
}

function sameEntry(stored: Entry, entry: NewEntry): boolean {
  return (
    Buffer.compare(stored.body, entry.body) === 0 &&
    stored.segments.length === entry.segments.length &&
    entry.segments.every(({ address }, i) => stored.segments[i]?.address === address)
  );
}

/** Each segment once for every entry that references it. */
export function* referencesOf(entries: readonly Entry[]): Iterable<Segment> {
  for (const { segments } of entries) yield* new Set(segments);
}

export function lengthOf(segments: readonly Segment[]): number {
  return segments.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

export function headOf({
  key,
  revision,
  fields,
  updatedAt,
  hold,
  entries,
}: Manifest): ManifestHead {
  return {
    key,
    revision,
    ...defined(fields),
    ...(hold && { hold }),
    updatedAt,
    entryCount: entries.length,
  };
}

export function storedEntry({ body, segments }: Entry): StoredEntry {
  return { body: new Uint8Array(body), segments: segments.map(({ locator }) => locator) };
}

function defined<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

export function ordered(manifests: Manifest[], filter: ListFilter): Manifest[] {
  const { application, model, since, until, held, order = 'archived' } = filter;
  const sign = order === 'newest' ? -1 : 1;
  return manifests
    .filter(
      ({ fields, hold }) =>
        (application === undefined || fields.application === application) &&
        (model === undefined || fields.model === model) &&
        (since === undefined || fields.createdAt >= since) &&
        (until === undefined || fields.createdAt < until) &&
        (held === undefined || held === (hold !== undefined)),
    )
    .sort(
      (a, b) =>
        (order === 'archived' ? 0 : sign * (a.fields.createdAt - b.fields.createdAt)) ||
        sign * (a.archived - b.archived),
    );
}
