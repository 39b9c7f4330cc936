import type { Address } from '../../../core/address.ts';
import type { ManifestHead, ManifestKey, Revision } from '../../contract/manifests.ts';
import type { Generation } from './sidecar.ts';

/**
 * A manifest's hold on one segment: the generation of its data, and the nonce of the attempt that
 * took the reference.
 */
export interface Hold {
  readonly gen: Generation;
  readonly nonce: string;
}

/** Part of a body that is kept in a segment of the manifest's own. */
export interface SpilledPart {
  readonly address: Address;
  readonly length: number;
}

/** An entry's body: in the record itself, or spilled into segments, one after the other. */
export type RecordBody =
  | { readonly kind: 'inline'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'spilled';
      /** Of the whole body. */
      readonly digest: Address;
      /** Bytes of the first part to skip: several bodies share a segment. */
      readonly offset: number;
      readonly length: number;
      readonly parts: readonly SpilledPart[];
    };

export interface RecordEntry {
  readonly body: RecordBody;
  readonly segments: readonly Address[];
}

/**
 * Where a manifest stands in the order of archiving: ms of the writer's clock, then a count within
 * it.
 */
export type ArchivedAt = readonly [ms: number, count: number];

/** What a manifest holds: its committed state. */
export interface ManifestContent extends Omit<ManifestHead, 'key' | 'entryCount'> {
  readonly archived: ArchivedAt;
  readonly idempotencyKeys: readonly string[];
  readonly entries: readonly RecordEntry[];
  /** Every segment that the entries need, spilled bodies included. */
  readonly holds: ReadonlyMap<Address, Hold>;
}

/** A manifest's content whose references are not taken yet. */
export type DraftContent = Omit<ManifestContent, 'holds'>;

/**
 * An attempt under way: it may take references to these segments, under its nonce, until it is
 * fenced.
 */
export interface PendingAttempt {
  readonly nonce: string;
  /** Changes whenever its owner renews the lease. */
  readonly beat: string;
  /** How long without a beat until anybody may fence it, in ms. */
  readonly leaseMs: number;
  readonly adds: readonly Address[];
}

/** A reference that no commit can use any more and that has to leave its sidecar. */
export interface Release {
  readonly address: Address;
  readonly nonce: string;
}

/**
 * The object of a manifest: its committed state, and its own write-ahead record. Without `current`
 * and `pending` and `releasing` it is a tombstone.
 */
export interface ManifestRecord {
  readonly key: ManifestKey;
  /** Counts the bodies this object has had; no two bodies are ever equal. */
  readonly seq: number;
  readonly nonce: string;
  /**
   * Nonces of the newest bodies, this one last: tells whether a write of unknown outcome happened.
   */
  readonly applied: readonly string[];
  readonly current: ManifestContent | undefined;
  readonly pending: readonly PendingAttempt[];
  readonly releasing: readonly Release[];
}

/** How many nonces `applied` keeps. */
const APPLIED_NONCES = 8;

/** What is left to a new body of a record to choose. */
export type RecordChange = Pick<ManifestRecord, 'current' | 'pending' | 'releasing'>;

/** The body that follows `base` (`undefined`: no object yet). */
export function nextRecord(
  key: ManifestKey,
  base: ManifestRecord | undefined,
  change: RecordChange,
  nonce: string,
): ManifestRecord {
  const { current, pending, releasing } = change;
  return {
    key,
    seq: (base?.seq ?? 0) + 1,
    nonce,
    applied: [...(base?.applied ?? []), nonce].slice(-APPLIED_NONCES),
    current,
    pending,
    releasing,
  };
}

/**
 * Whether `body` was ever stored, as told by a record read after it may have been; `undefined`: too
 * long ago to tell.
 */
export function wasApplied(
  body: ManifestRecord,
  later: ManifestRecord | undefined,
): boolean | undefined {
  if (later === undefined || later.seq < body.seq) return false;
  const position = later.applied.length - 1 - (later.seq - body.seq);
  return position < 0 ? undefined : later.applied[position] === body.nonce;
}

/** A union: what is already in `releasing` stays. */
export function withReleases(releasing: readonly Release[], added: readonly Release[]): Release[] {
  const known = new Set(releasing.map(nameOfRelease));
  return [...releasing, ...added.filter((release) => !known.has(nameOfRelease(release)))];
}

export function withoutReleases(
  releasing: readonly Release[],
  done: readonly Release[],
): Release[] {
  const gone = new Set(done.map(nameOfRelease));
  return releasing.filter((release) => !gone.has(nameOfRelease(release)));
}

function nameOfRelease({ address, nonce }: Release): string {
  return `${address}.${nonce}`;
}

export function headOfRecord(key: ManifestKey, content: ManifestContent): ManifestHead {
  const { archived: _, idempotencyKeys: __, holds: ___, entries, ...head } = content;
  return { key, ...head, entryCount: entries.length };
}

export function revisionOf(nonce: string, write: number): Revision {
  return `${nonce}${write.toString(36)}` as Revision;
}
