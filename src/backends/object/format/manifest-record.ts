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

/** A manifest's committed state. */
export interface ManifestContent extends Omit<ManifestHead, 'key' | 'entryCount'> {
  readonly archived: ArchivedAt;
  readonly idempotencyKeys: readonly string[];
  readonly entries: readonly RecordEntry[];
  /** Every segment that the entries need, including those of spilled bodies. */
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
  const known = new Set(dropped.map(nameOfDropped));
  return [...dropped, ...added.filter((each) => !known.has(nameOfDropped(each)))];
}

export function withoutDropped(
  dropped: readonly DroppedReference[],
  done: readonly DroppedReference[],
): DroppedReference[] {
  const gone = new Set(done.map(nameOfDropped));
  return dropped.filter((each) => !gone.has(nameOfDropped(each)));
}

function nameOfDropped({ address, attempt }: DroppedReference): string {
  return `${address}.${attempt}`;
}

export function headOfRecord(key: ManifestKey, content: ManifestContent): ManifestHead {
  const { archived: _, idempotencyKeys: __, references: ___, entries, ...head } = content;
  return { key, ...head, entryCount: entries.length };
}

export function revisionOf(attempt: string, write: number): Revision {
  return `${attempt}${write.toString(36)}` as Revision;
}
