import type { Address } from '../../../core/address.ts';
import type { ManifestHead, ManifestKey, Revision } from '../../contract/manifests.ts';
import type { AttemptId, Generation } from './sidecar.ts';

/**
 * A committed manifest's reference to one segment: the generation of its data, and the attempt that
 * took the reference.
 */
export interface Reference {
  readonly gen: Generation;
  readonly attempt: AttemptId;
}

/** A reference and its segment. */
export interface HeldReference extends Reference {
  readonly address: Address;
}

/** Part of a body, stored in a segment of the manifest's own. */
export interface SpilledPart {
  readonly address: Address;
  readonly length: number;
}

/** An entry's body: in the record itself, or spilled into segments, one after the other. */
export type RecordBody =
  | { readonly kind: 'inline'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'spilled';
      /** Digest of the whole body. */
      readonly digest: Address;
      /** Bytes to skip in the first part: several bodies share a segment. */
      readonly offset: number;
      readonly length: number;
      readonly parts: readonly SpilledPart[];
    };

export interface RecordEntry {
  readonly body: RecordBody;
  readonly segments: readonly Address[];
}

/**
 * A manifest's place in the order of archiving: ms of the writer's clock, then a count within that
 * ms.
 */
export type ArchivedAt = readonly [ms: number, count: number];

/** Older entries of a manifest, in a segment of their own. */
export interface EntryPage {
  readonly address: Address;
  /** Number of entries. */
  readonly entries: number;
}

/**
 * A manifest's committed state. Its entries are those of its pages, in order, then `entries`. What
 * it references altogether, `referencesOf` in `tables/references.ts` returns.
 */
export interface ManifestContent extends Omit<ManifestHead, 'key' | 'entryCount'> {
  readonly archived: ArchivedAt;
  /** Pages of older entries. */
  readonly pages: readonly EntryPage[];
  /** Pages of older idempotency keys. */
  readonly keyPages: readonly Address[];
  /** The newest idempotency keys, oldest first. */
  readonly idempotencyKeys: readonly string[];
  /** The newest entries. */
  readonly entries: readonly RecordEntry[];
  /**
   * What the record references itself: pages, and every segment that its `entries` need, including
   * those of spilled bodies.
   */
  readonly references: ReadonlyMap<Address, Reference>;
}

/** A manifest's content before its references are taken. */
export type DraftContent = Omit<ManifestContent, 'references'>;

/** An attempt in progress: until it is fenced, it may take references to these segments. */
export interface PendingAttempt {
  readonly attempt: AttemptId;
  /** Changes with every heartbeat of its writer. */
  readonly beat: string;
  /** Time without a heartbeat after which anybody may fence it, in ms. */
  readonly heartbeatTimeoutMs: number;
  readonly adds: readonly Address[];
}

/** A reference that no commit can use any more and whose token has to leave its sidecar. */
export interface DroppedReference {
  readonly address: Address;
  readonly attempt: AttemptId;
  /**
   * Of a page whose references go with it: its generation. Absent for any other segment, and for a
   * page whose references the content still has.
   */
  readonly page?: Generation;
}

/**
 * The object of a manifest: its committed state, and its own write-ahead record. Without `current`,
 * `pending` and `dropped` it is a tombstone.
 */
export interface ManifestRecord {
  readonly key: ManifestKey;
  /** Number of bodies that this object has had; no two bodies are ever equal. */
  readonly seq: number;
  /** Random, new with every body. */
  readonly nonce: string;
  /**
   * Nonces of the newest bodies, this one last: they show whether a write of unknown outcome
   * happened.
   */
  readonly applied: readonly string[];
  readonly current: ManifestContent | undefined;
  readonly pending: readonly PendingAttempt[];
  /** References that this manifest gave up and whose tokens may still be in sidecars. */
  readonly dropped: readonly DroppedReference[];
}

/** Number of nonces in `applied`. */
const APPLIED_NONCES = 8;

/** The parts of a record's new body that its writer chooses. */
export type RecordChange = Pick<ManifestRecord, 'current' | 'pending' | 'dropped'>;

/** The body that follows `base` (`undefined`: no object yet). */
export function nextRecord(
  key: ManifestKey,
  base: ManifestRecord | undefined,
  change: RecordChange,
  nonce: string,
): ManifestRecord {
  const { current, pending, dropped } = change;
  return {
    key,
    seq: (base?.seq ?? 0) + 1,
    nonce,
    applied: [...(base?.applied ?? []), nonce].slice(-APPLIED_NONCES),
    current,
    pending,
    dropped,
  };
}

/**
 * Whether `body` was ever stored, judged by a record read after the write; `undefined`: too long
 * ago to know.
 */
export function wasApplied(
  body: ManifestRecord,
  later: ManifestRecord | undefined,
): boolean | undefined {
  if (later === undefined || later.seq < body.seq) return false;
  const position = later.applied.length - 1 - (later.seq - body.seq);
  return position < 0 ? undefined : later.applied[position] === body.nonce;
}

/** A union: what is already in `dropped` stays. */
export function withDropped(
  dropped: readonly DroppedReference[],
  added: readonly DroppedReference[],
): DroppedReference[] {
  const known = new Set(dropped.map(nameOfReference));
  return [...dropped, ...added.filter((each) => !known.has(nameOfReference(each)))];
}

export function withoutDropped(
  dropped: readonly DroppedReference[],
  done: readonly DroppedReference[],
): DroppedReference[] {
  const gone = new Set(done.map(nameOfReference));
  return dropped.filter((each) => !gone.has(nameOfReference(each)));
}

/** Distinguishes the references of one manifest. */
export function nameOfReference({
  address,
  attempt,
}: Pick<HeldReference, 'address' | 'attempt'>): string {
  return `${address}.${attempt}`;
}

export function headOfRecord(
  key: ManifestKey,
  content: DraftContent & Partial<Pick<ManifestContent, 'references'>>,
): ManifestHead {
  const { archived: _, idempotencyKeys: __, keyPages: ___, references: ____, ...rest } = content;
  const { pages, entries, ...head } = rest;
  return { key, ...head, entryCount: entryCountOf({ pages, entries }) };
}

export function entryCountOf({
  pages,
  entries,
}: Pick<ManifestContent, 'pages' | 'entries'>): number {
  return pages.reduce((sum, page) => sum + page.entries, entries.length);
}

/** Every page of a content. */
export function pagesOf({
  pages,
  keyPages,
}: Pick<ManifestContent, 'pages' | 'keyPages'>): Address[] {
  return [...pages.map(({ address }) => address), ...keyPages];
}

export function heldOf(references: ReadonlyMap<Address, Reference>): HeldReference[] {
  return [...references].map(([address, reference]) => ({ address, ...reference }));
}

export function revisionOf(attempt: string, write: number): Revision {
  return `${attempt}${write.toString(36)}` as Revision;
}
