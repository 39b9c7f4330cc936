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

/** Longest manifest id, in bytes of UTF-8. Ids are any non-empty well-formed string up to this. */
export const MAX_ID_BYTES = 512;

/** Longest application or model of a manifest, in bytes of UTF-8. */
export const MAX_NAME_BYTES = 4096;

/** Longest idempotency key, in bytes of UTF-8. */
export const MAX_NONCE_BYTES = 64;

/** Longest segment, in canonical bytes. Longer content is chunked by the layers above. */
export const MAX_SEGMENT_BYTES = 4 * 1024 * 1024;

/** Names a manifest. Ids of different kinds never meet. */
export interface ManifestKey {
  readonly kind: ManifestKind;
  /** Compared byte by byte: case matters, no normalisation. */
  readonly id: string;
}

/**
 * The state of a manifest as an opaque string: equal revisions, equal content. Never reused, not
 * even when an id is deleted and put again, so `ifRevision` cannot be fooled.
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
 * How a segment's canonical bytes are to be read, so that a backend may store them more densely:
 * `tokens` are little-endian uint32 token ids (their length a multiple of 4), `bytes` are anything.
 */
export type SegmentEncoding = 'bytes' | 'tokens';

/** A segment as a writer hands it over. */
export interface NewSegment {
  readonly address: Address;
  readonly encoding: SegmentEncoding;
  /**
   * The canonical bytes, at most {@link MAX_SEGMENT_BYTES}; must hash to `address`. Called only
   * when the segment is missing, perhaps more than once; what it returns must not change before the
   * commit has ended. `null`: the writer has no bytes and expects the segment to be stored already
   * (the commit fails with `NOT_FOUND` when it is not).
   */
  readonly bytes: (() => Uint8Array) | null;
}

/** One entry of a manifest as a writer hands it over. */
export interface NewEntry {
  /** Opaque to the backend; refers to `segments` by position. */
  readonly body: Uint8Array;
  /** In order of use; one may occur several times. */
  readonly segments: readonly NewSegment[];
}

/**
 * Where a stored segment is, good for `fetch` and `describe` of the same open backend. Never
 * persisted by the layers above. A locator whose segment was collected is answered with
 * `NOT_FOUND`, never with another segment. While a segment is stored, all who ask for it get equal
 * locators (`===`).
 */
export type Locator = (number | string) & { readonly __brand: 'Locator' };

/** What is known of a stored segment without reading its bytes. */
export interface SegmentDescription {
  readonly address: Address;
  readonly encoding: SegmentEncoding;
  /** Canonical bytes. */
  readonly length: number;
  /**
   * What references it, as the capability `countsReferencesOf` says; 0 while it waits for
   * collection. On objects, of what very many use or many at once: how many did when it was last
   * counted, 1 or more.
   */
  readonly references: number;
}

/** One entry of a manifest as a reader gets it. */
export interface StoredEntry {
  readonly body: Uint8Array;
  /** In the order of {@link NewEntry.segments}. */
  readonly segments: readonly Locator[];
}

/** The fields of a manifest that a backend can filter by. */
export interface ManifestFields {
  readonly application?: string;
  readonly model?: string;
  /**
   * Milliseconds since the epoch; when what the manifest holds was created. Default: the time of
   * the commit.
   */
  readonly createdAt?: number;
  /**
   * Milliseconds since the epoch; from then on a collection may delete the manifest. Default:
   * never.
   */
  readonly expiresAt?: number;
  /** Size of the content as the user gave it, in bytes, for usage reports. */
  readonly logicalBytes: number;
}

/** What keeps a manifest from being deleted or replaced. */
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
  /** How many entries it has; entries are only ever added at the end, or all replaced. */
  readonly entryCount: number;
  /** Present while it is held, see {@link HoldWrite}. */
  readonly hold?: ManifestHold;
}

/** A manifest with its entries. */
export interface StoredManifest extends ManifestHead {
  readonly entries: readonly StoredEntry[];
  /** Segments of its own that hold bodies of these entries, where a backend keeps bodies so. */
  readonly spilled?: readonly Locator[];
}

/**
 * Publishes a manifest, whole. Content identical to what is stored is `unchanged`, whatever
 * `ifExists` says; fields are content, but a `createdAt` left open is not compared.
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
 * Adds entries at the end of a manifest, which must exist (`NOT_FOUND`). Costs as much as what is
 * new.
 */
export interface AppendWrite {
  readonly operation: 'append';
  readonly key: ManifestKey;
  readonly ifRevision?: Revision;
  /**
   * A name for this append, at most 64 bytes of UTF-8: when the manifest already took an append of
   * that name, nothing happens (`unchanged`), even if `ifRevision` no longer holds. So a retry
   * never doubles. Needs at least one entry. A manifest that is deleted or replaced forgets its
   * names.
   */
  readonly idempotencyKey?: string;
  /** Added to the stored size. */
  readonly logicalBytes: number;
  /** Fields to set anew; those absent stay. */
  readonly fields?: Omit<Partial<ManifestFields>, 'logicalBytes'>;
  readonly entries: readonly NewEntry[];
}

/**
 * Deletes a manifest unless it is held (`HELD`); one that does not exist is `absent`, not an error,
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
 * Places a hold on a manifest, which must exist (`NOT_FOUND`), or releases it. While it is held
 * every delete, and every put or publish that would replace it, fails with `HELD`, and no
 * collection deletes it when it expires; appending stays possible. The hold belongs to the very
 * state that those writes are judged on: none that is committed after the hold can pass it. It is
 * no content: the revision stays.
 */
export interface HoldWrite {
  readonly operation: 'hold';
  readonly key: ManifestKey;
  /** `true` on a held manifest only gives it another `reason`, if there is one; `since` stays. */
  readonly held: boolean;
  /** At most {@link MAX_REASON_BYTES}. Ignored when it is released. */
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

/** Each write of a batch has an outcome of its own: it happened whole, or not at all. */
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
  /** `true`: only those that are held; `false`: only those that are not. */
  readonly held?: boolean | undefined;
  /**
   * `archived`: the order in which manifests were first put. `oldest` and `newest`: by `createdAt`,
   * ties by the order of archiving. Default: `archived`.
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
   * `newest`: only the last of each manifest's entries, at a cost that does not depend on the
   * others. Default: `all`.
   */
  readonly entries?: 'all' | 'newest';
}
