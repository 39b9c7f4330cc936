/**
 * What a backend stores, and how it is written, read and listed. `backend.ts` defines the words.
 */
import type { AbortOptions } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import type { VarveError } from '../../core/errors.ts';
import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';

/** The kinds of manifests, in the order in which everything walks them. */
export const MANIFEST_KINDS = ['conversation', 'blob', 'pin'] as const;

/** What a manifest is of: a conversation, a blob, or a pin that holds segments. */
export type ManifestKind = (typeof MANIFEST_KINDS)[number];

/**
 * Longest manifest id, in bytes of UTF-8. An id is any non-empty well-formed string up to this
 * length.
 */
export const MAX_ID_BYTES = 512;

/** Longest application or model of a manifest, in bytes of UTF-8. */
export const MAX_NAME_BYTES = 4096;

/** Longest idempotency key, in bytes of UTF-8. */
export const MAX_NONCE_BYTES = 64;

/** Longest segment, in canonical bytes. The layers above split longer content into chunks. */
export const MAX_SEGMENT_BYTES = 4 * 1024 * 1024;

/** Names a manifest. Each kind has its own ids. */
export interface ManifestKey {
  readonly kind: ManifestKind;
  /** Compared byte by byte: case-sensitive, not normalized. */
  readonly id: string;
}

/**
 * The state of a manifest as an opaque string: equal revisions mean equal content. Never reused,
 * not even when an id is deleted and put again, so `ifRevision` cannot match by accident.
 */
export type Revision = string & { readonly __brand: 'Revision' };

/** The kind of an option that is a {@link Revision}. */
export function revisionKind(is: OptionKinds) {
  return is.of<Revision>(
    (value) => typeof value === 'string',
    'a revision, a string that a receipt or a head has',
  );
}

/**
 * How to read a segment's canonical bytes, so that a backend can store them more densely: `tokens`
 * are little-endian uint32 token ids (the length is a multiple of 4), `bytes` are anything.
 */
export type SegmentEncoding = 'bytes' | 'tokens';

/** A segment as a writer passes it in. */
export interface NewSegment {
  readonly address: Address;
  readonly encoding: SegmentEncoding;
  /**
   * The canonical bytes, at most {@link MAX_SEGMENT_BYTES}; must hash to `address`. Called only
   * when the segment is missing, possibly more than once; the result must not change before the
   * commit has ended. `null`: the writer has no bytes and expects the segment to be stored already
   * (otherwise the commit fails with `NOT_FOUND`).
   */
  readonly bytes: (() => Uint8Array) | null;
}

/** One entry of a manifest as a writer passes it in. */
export interface NewEntry {
  /** Opaque to the backend; refers to `segments` by position. */
  readonly body: Uint8Array;
  /** In order of use; a segment may occur several times. */
  readonly segments: readonly NewSegment[];
}

/**
 * Where a stored segment is, valid for `fetch` and `describe` of the same open backend. The layers
 * above never store it. A locator of a collected segment gives `NOT_FOUND`, never another segment.
 * While a segment is stored, all callers get equal locators for it (`===`).
 */
export type Locator = (number | string) & { readonly __brand: 'Locator' };

/** Describes a stored segment without its bytes. */
export interface SegmentDescription {
  readonly address: Address;
  readonly encoding: SegmentEncoding;
  /** Canonical bytes. */
  readonly length: number;
  /**
   * What references it, as the capability `countsReferencesOf` says; 0 while it waits for
   * collection. On objects, for segments with very many users or many at once, the count is that of
   * the last recount, at least 1.
   */
  readonly references: number;
}

/** One entry of a manifest as a reader gets it. */
export interface StoredEntry {
  readonly body: Uint8Array;
  /** In the order of {@link NewEntry.segments}. */
  readonly segments: readonly Locator[];
}

/** The fields of a manifest by which a backend can filter. */
export interface ManifestFields {
  readonly application?: string;
  readonly model?: string;
  /**
   * Milliseconds since the epoch at which the content was created. Default: the time of the commit.
   */
  readonly createdAt?: number;
  /**
   * Milliseconds since the epoch; from then on a collection may delete the manifest. Default:
   * never.
   */
  readonly expiresAt?: number;
  /** Size of the content as given, in bytes, for usage reports. */
  readonly logicalBytes: number;
}

/** Keeps a manifest from being deleted or replaced. */
export interface ManifestHold {
  /** When it was placed, in ms since the epoch. */
  readonly since: number;
  /** Why, in the words of whoever placed it. */
  readonly reason?: string;
}

/** A manifest without its entries. */
export interface ManifestHead {
  readonly key: ManifestKey;
  readonly revision: Revision;
  readonly application?: string;
  readonly model?: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly expiresAt?: number;
  readonly logicalBytes: number;
  /** Number of entries; entries are only ever added at the end, or all replaced. */
  readonly entryCount: number;
  /** Present while it is held, see {@link HoldWrite}. */
  readonly hold?: ManifestHold;
}

/** A manifest with its entries. */
export interface StoredManifest extends ManifestHead {
  readonly entries: readonly StoredEntry[];
  /** Segments that contain bodies of these entries, where a backend stores bodies in segments. */
  readonly spilled?: readonly Locator[];
}

/**
 * Publishes a whole manifest. Content identical to what is stored is `unchanged`, whatever
 * `ifExists` says; fields are content, except that an omitted `createdAt` is not compared.
 */
export interface PutWrite {
  readonly operation: 'put';
  readonly key: ManifestKey;
  /** What to do when the id holds other content: `error` fails with `ALREADY_EXISTS`. */
  readonly ifExists: 'error' | 'skip' | 'replace';
  /**
   * Fails with `CONFLICT` unless this is the stored revision (an absent manifest has none),
   * identical content or not.
   */
  readonly ifRevision?: Revision;
  readonly fields: ManifestFields;
  readonly entries: readonly NewEntry[];
}

/**
 * Adds entries to the end of a manifest, which must exist (`NOT_FOUND`). Costs as much as the new
 * entries.
 */
export interface AppendWrite {
  readonly operation: 'append';
  readonly key: ManifestKey;
  readonly ifRevision?: Revision;
  /**
   * A key for this append, at most 64 bytes of UTF-8: when the manifest has already taken an append
   * with that key, nothing happens (`unchanged`), even if `ifRevision` no longer matches. So a
   * retry never duplicates. Needs at least one entry. A manifest that is deleted or replaced
   * forgets its keys.
   */
  readonly idempotencyKey?: string;
  /** Added to the stored size. */
  readonly logicalBytes: number;
  /** Fields to change; absent ones stay. */
  readonly fields?: Omit<Partial<ManifestFields>, 'logicalBytes'>;
  readonly entries: readonly NewEntry[];
}

/**
 * Deletes a manifest unless it is held (`HELD`); a missing one gives `absent`, not an error,
 * whatever `ifRevision` says.
 */
export interface DeleteWrite {
  readonly operation: 'delete';
  readonly key: ManifestKey;
  readonly ifRevision?: Revision;
}

/** Longest reason of a hold, in bytes of UTF-8. */
export const MAX_REASON_BYTES = 1024;

/**
 * Places a hold on a manifest, which must exist (`NOT_FOUND`), or releases it. While it is held,
 * every delete, and every put or publish that would replace it, fails with `HELD`, and no
 * collection deletes it when it expires; it can still be appended to. The hold is part of the state
 * on which those writes are decided: no write that is committed after the hold can miss it. It is
 * not content: the revision stays.
 */
export interface HoldWrite {
  readonly operation: 'hold';
  readonly key: ManifestKey;
  /** `true` on a held manifest only changes its `reason`, if one is given; `since` stays. */
  readonly held: boolean;
  /** At most {@link MAX_REASON_BYTES}. Ignored by a release. */
  readonly reason?: string;
  readonly ifRevision?: Revision;
}

/** One write of a commit. */
export type ManifestWrite = PutWrite | AppendWrite | DeleteWrite | HoldWrite;

/** What a successful write did. */
export interface WriteSuccess {
  readonly status:
    | 'created'
    | 'replaced'
    | 'appended'
    | 'unchanged'
    | 'skipped'
    | 'deleted'
    | 'absent'
    | 'held'
    | 'released';
  /** The revision now stored; absent after `deleted` and `absent`. */
  readonly revision?: Revision;
  /** Segments that this write stored because they were missing, and their canonical bytes. */
  readonly newSegments: number;
  readonly newBytes: number;
}

/** Why a write of a batch did not happen. */
export interface WriteFailure {
  readonly status: 'failed';
  readonly error: VarveError;
}

/** Each write of a batch has its own outcome: it happened whole, or not at all. */
export type WriteOutcome = WriteSuccess | WriteFailure;

/** Which manifests a list returns, and in which order. */
export interface ListFilter {
  readonly application?: string | undefined;
  readonly model?: string | undefined;
  /**
   * Milliseconds since the epoch, compared with `createdAt`: `since` inclusive, `until` exclusive.
   */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** `true`: only held ones; `false`: only those that are not held. */
  readonly held?: boolean | undefined;
  /**
   * `archived`: the order in which manifests were first put. `oldest` and `newest`: by `createdAt`,
   * ties in `archived` order. Default: `archived`.
   */
  readonly order?: 'archived' | 'oldest' | 'newest' | undefined;
}

/** The kinds of {@link ListFilter}, for the options of lists. */
export function listFilterKinds(is: OptionKinds) {
  return {
    application: is.text,
    model: is.text,
    since: is.time,
    until: is.time,
    held: is.flag,
    order: is.oneOf('archived', 'oldest', 'newest'),
  };
}

export const ABORT_OPTIONS = declareOptions<AbortOptions>()({
  members: (is: OptionKinds) => ({ signal: is.signal }),
});

/** Options of calls that delete. */
export interface DeleteOptions extends AbortOptions {
  /** Fails with `CONFLICT` unless this is the stored revision. */
  readonly ifRevision?: Revision | undefined;
}

export const DELETE_OPTIONS = declareOptions<DeleteOptions>()({
  members: (is: OptionKinds) => ({ ifRevision: revisionKind(is), signal: is.signal }),
});

/** Options of reading manifests. */
export interface ReadManifestOptions extends AbortOptions {
  /**
   * `newest`: only the last entry of each manifest, at a cost that does not depend on the others.
   * Default: `all`.
   */
  readonly entries?: 'all' | 'newest';
}
