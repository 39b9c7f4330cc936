/**
 * The one interface that every place to store things implements: the local directory, S3, memory.
 *
 * A backend stores two things. A **segment** is an immutable byte string under its address. A **manifest** is a named
 * record (a conversation, a blob, a pin) that references segments; its bodies are opaque bytes to the backend. Segments
 * have no life of their own: they are stored by the commit of the first manifest that references them, counted by the
 * manifests that do, and collected some time after the last one is gone.
 *
 * The invariant every implementation keeps: **a committed manifest's segments are readable, for as long as it is
 * committed**, whatever crashes, races or retries happen.
 *
 * `test/conformance/` is the executable form of this file; an implementation runs it in a few lines.
 */

import type { Address } from '../address.ts';
import type { VarveError } from '../errors.ts';

export type ManifestKind = 'conversation' | 'blob' | 'pin';

/** Longest manifest id, in bytes of UTF-8. Ids are any non-empty well-formed string up to this. */
export const MAX_ID_BYTES = 512;

/** Longest segment, in canonical bytes. Longer content is chunked by the layers above. */
export const MAX_SEGMENT_BYTES = 4 * 1024 * 1024;

/** Names a manifest. Ids of different kinds never meet. */
export interface ManifestKey {
  readonly kind: ManifestKind;
  /** Compared byte by byte: case matters, no normalisation. */
  readonly id: string;
}

/**
 * The state of a manifest as an opaque string: equal revisions, equal content. Never reused, not even when an id is
 * deleted and put again, so `ifRevision` cannot be fooled.
 */
export type Revision = string & { readonly __brand: 'Revision' };

/**
 * How a segment's canonical bytes are to be read, so that a backend may store them more densely: `tokens` are
 * little-endian uint32 token ids (their length a multiple of 4), `bytes` are anything.
 */
export type SegmentEncoding = 'bytes' | 'tokens';

/** A segment as a writer hands it over. */
export interface NewSegment {
  readonly address: Address;
  readonly encoding: SegmentEncoding;
  /**
   * The canonical bytes, at most {@link MAX_SEGMENT_BYTES}; must hash to `address`. Called only when the segment is
   * missing, perhaps more than once; what it returns must not change before the commit has ended. `null`: the writer has no bytes and expects the segment to be stored already (the
   * commit fails with `NOT_FOUND` when it is not).
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
 * Where a stored segment is, good for {@link Backend.fetch} and {@link Backend.describe} of the same open backend. Never
 * persisted by the layers above. A locator whose segment was collected is answered with `NOT_FOUND`, never with
 * another segment. While a segment is stored, all who ask for it get equal locators (`===`).
 */
export type Locator = (number | string) & { readonly __brand: 'Locator' };

/** What is known of a stored segment without reading its bytes. */
export interface SegmentDescription {
  readonly address: Address;
  readonly encoding: SegmentEncoding;
  /** Canonical bytes. */
  readonly length: number;
  /**
   * What references it, as {@link BackendCapabilities.countsReferencesOf} says; 0 while it waits for collection. On objects, of
   * what very many use or many at once: how many did when it was last counted, 1 or more.
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
  /** Milliseconds since the epoch; when what the manifest holds was created. Default: the time of the commit. */
  readonly createdAt?: number;
  /** Milliseconds since the epoch; from then on a collection may delete the manifest. Default: never. */
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

export interface StoredManifest extends ManifestHead {
  readonly entries: readonly StoredEntry[];
}

/**
 * Publishes a manifest, whole. Content identical to what is stored is `unchanged`, whatever `ifExists` says; fields are
 * content, but a `createdAt` left open is not compared.
 */
export interface PutWrite {
  readonly operation: 'put';
  readonly key: ManifestKey;
  /** What to do when the id holds other content: `error` fails with `ALREADY_EXISTS`. */
  readonly ifExists: 'error' | 'skip' | 'replace';
  /** Fails with `CONFLICT` unless this is the stored revision (an absent manifest has none), identical content or not. */
  readonly ifRevision?: Revision;
  readonly fields: ManifestFields;
  readonly entries: readonly NewEntry[];
}

/** Adds entries at the end of a manifest, which must exist (`NOT_FOUND`). Costs as much as what is new. */
export interface AppendWrite {
  readonly operation: 'append';
  readonly key: ManifestKey;
  readonly ifRevision?: Revision;
  /**
   * A name for this append, at most 64 bytes of UTF-8: when the manifest already took an append of that name, nothing
   * happens (`unchanged`), even if `ifRevision` no longer holds. So a retry never doubles. Needs at least one entry. A
   * manifest that is deleted or replaced forgets its names.
   */
  readonly idempotencyKey?: string;
  /** Added to the stored size. */
  readonly logicalBytes: number;
  /** Fields to set anew; those absent stay. */
  readonly fields?: Omit<Partial<ManifestFields>, 'logicalBytes'>;
  readonly entries: readonly NewEntry[];
}

/** Deletes a manifest unless it is held (`HELD`); one that does not exist is `absent`, not an error, whatever `ifRevision` says. */
export interface DeleteWrite {
  readonly operation: 'delete';
  readonly key: ManifestKey;
  readonly ifRevision?: Revision;
}

/** Longest reason of a hold, in bytes of UTF-8. */
export const MAX_REASON_BYTES = 1024;

/**
 * Places a hold on a manifest, which must exist (`NOT_FOUND`), or releases it. While it is held every delete, and every put
 * or publish that would replace it, fails with `HELD`, and no collection deletes it when it expires; appending stays possible. The hold
 * belongs to the very state that those writes are judged on: none that is committed after the hold can pass it. It is
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

export interface WriteFailure {
  readonly status: 'failed';
  readonly error: VarveError;
}

/** Each write of a batch has an outcome of its own: it happened whole, or not at all. */
export type WriteOutcome = WriteSuccess | WriteFailure;

export interface ListFilter {
  readonly application?: string;
  readonly model?: string;
  /** Milliseconds since the epoch, compared with `createdAt`: `since` inclusive, `until` exclusive. */
  readonly since?: number;
  readonly until?: number;
  /** `true`: only those that are held; `false`: only those that are not. */
  readonly held?: boolean;
  /**
   * `archived`: the order in which manifests were first put. `oldest` and `newest`: by `createdAt`, ties by the order
   * of archiving. Default: `archived`.
   */
  readonly order?: 'archived' | 'oldest' | 'newest';
}

export interface AbortOptions {
  readonly signal?: AbortSignal;
}

export interface ReadManifestOptions extends AbortOptions {
  /** `newest`: only the last of each manifest's entries, at a cost that does not depend on the others. Default: `all`. */
  readonly entries?: 'all' | 'newest';
}

export interface CollectOptions extends AbortOptions {
  /** A segment is collected once nothing has referenced it for this many milliseconds. Default: 24 hours. */
  readonly graceMs?: number;
  /** Report what would be done, do nothing. Default: false. */
  readonly dryRun?: boolean;
  /** Give back all space that can be given back, at the cost of rewriting more. Default: false. */
  readonly full?: boolean;
  /**
   * End only when no byte of deleted content is left on the medium, neither in data nor in indexes, logs and caches. Takes
   * everything that nothing references, whatever `graceMs` says; goes with no `shard`. What it could not get rid of is in
   * the report. Default: false.
   */
  readonly erase?: boolean;
  /**
   * Do only this share of the work. Shards of one `count` are disjoint and do all of it together, in any order and at
   * once, in one process or many. Default: all.
   */
  readonly shard?: CollectShard;
  /** Begin no further step after this many milliseconds; the report then says `isComplete: false`. Default: no limit. */
  readonly deadlineMs?: number;
  /** Requests under way at once, where steps are requests; without effect where they are transactions. Default: 8. */
  readonly concurrency?: number;
  readonly onProgress?: (progress: { phase: string; done: number; total: number }) => void;
}

/** Part `index`, from 0, of `count`. */
export interface CollectShard {
  readonly index: number;
  readonly count: number;
}

/**
 * Why something is collected: a manifest's time has come (`expired`), a stream was cut off (`abandoned-upload`), nothing
 * has referenced a segment since before the grace (`unreferenced`), a file holds too little that is alive (`dead-space`)
 * or too many blocks that compress badly (`small-blocks`).
 */
export type CollectReason = 'expired' | 'abandoned-upload' | 'unreferenced' | 'dead-space' | 'small-blocks';

/** `count` manifests, uploads, segments or files; `bytes` before compression, for files the stored bytes that are dead. */
export interface CollectShare {
  readonly count: number;
  readonly bytes: number;
}

export interface CollectReport {
  readonly dryRun: boolean;
  /** `false` when the deadline came first: the next run goes on from there. */
  readonly isComplete: boolean;
  /** What was, or in a dry run would be, done, by the reason for it; what did not occur is left out. */
  readonly reasons: Readonly<Partial<Record<CollectReason, CollectShare>>>;
  readonly expiredManifests: number;
  /** Segments that nothing has referenced since before the grace. */
  readonly collectedSegments: number;
  /** Their size before compression. */
  readonly collectedBytes: number;
  /** Unreferenced, but within the grace. */
  readonly waitingSegments: number;
  readonly waitingBytes: number;
  /** Stored bytes given back to the medium by this run; in a dry run, an estimate. */
  readonly freedBytes: number;
  /** Stored bytes that are dead but wait until rewriting what surrounds them pays. */
  readonly deadBytes: number;
  readonly rewrittenPacks: number;
  /** Of an erasure: where bytes of deleted content may be left. Empty when all are gone. */
  readonly remnants?: readonly Remnant[];
  readonly durationMs: number;
}

/** A place that an erasure could not rid of deleted content. */
export interface Remnant {
  /** The file or object. */
  readonly location: string;
  /** One sentence: why, and what to do about it. */
  readonly reason: string;
}

export type FindingKind =
  | 'missing-data'
  | 'corrupt-data'
  | 'corrupt-manifest'
  | 'wrong-count'
  | 'unindexed'
  | 'orphaned-data'
  | 'stale-writer';

/** Something an audit found wrong. */
export interface Finding {
  readonly kind: FindingKind;
  /** One sentence for a person. */
  readonly message: string;
  readonly address?: Address;
  /** The file, object or row concerned. */
  readonly location?: string;
  /** Manifests that cannot be read because of it (the first 100). */
  readonly manifests: readonly ManifestKey[];
  /** What repair does about it; `none` when only a copy from elsewhere helps, `none…: ` and why when nothing more can be done now. */
  readonly repair: string;
  readonly repaired: boolean;
  /** Whether content of a manifest is lost or altered: `false` for bookkeeping and garbage. */
  readonly harmful: boolean;
}

export interface AuditOptions extends AbortOptions {
  /** Mend what can be mended. Default: false. */
  readonly repair?: boolean;
  /** The share of stored data to read and re-hash, 0 to 1. Default: 1. References are always recounted in full. */
  readonly sample?: number;
  readonly onProgress?: (progress: { phase: string; done: number; total: number }) => void;
}

export interface AuditReport {
  readonly manifests: number;
  readonly segments: number;
  readonly verifiedBytes: number;
  readonly findings: number;
  readonly unrepaired: number;
  readonly durationMs: number;
}

export interface BackupOptions extends AbortOptions {
  readonly onProgress?: (progress: { phase: string; done: number; total: number }) => void;
}

export interface BackupReport {
  /** The folder, or another location, that holds the copy now. */
  readonly location: string;
  /** Files that were copied as they are; absent where content was copied from one kind of store to another. */
  readonly packs?: number;
  /** Manifests in the copy, where content was copied. */
  readonly manifests?: number;
  /** Manifests that cannot be read, where content was copied; an older backup's state of them is kept. */
  readonly unreadable?: readonly ManifestKey[];
  /** Everything the copy occupies. */
  readonly bytes: number;
  /** Of that, what had to be copied: an older backup in the same folder had the rest. */
  readonly copiedBytes: number;
  readonly durationMs: number;
}

export interface Usage {
  /** By kind; `logicalBytes` is the size of the content as it was given. */
  readonly manifests: Readonly<Record<ManifestKind, { readonly count: number; readonly logicalBytes: number }>>;
  /** Distinct segments stored, and their bytes before compression (token ids as the backend codes them). */
  readonly segments: number;
  readonly segmentBytes: number;
  /** Everything the store occupies on its medium. */
  readonly storedBytes: number;
  /** Of that, what serves finding rather than content. */
  readonly indexBytes: number;
  /** Segments and bytes waiting for collection. */
  readonly garbageSegments: number;
  readonly garbageBytes: number;
}

/** What has been asked of a storage service since the store was opened. */
export interface RequestMetrics {
  /** Requests sent by verb, each try counted; every request of a multipart upload is a `put`. */
  readonly requests: Readonly<Record<'get' | 'head' | 'put' | 'delete' | 'list', number>>;
  /** Bytes of bodies, without headers. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Conditional writes whose condition did not hold. */
  readonly refused: number;
  /** Requests that were repeated after a failure. */
  readonly retries: number;
  /** Requests that failed or whose outcome is unknown, those that were repeated included. */
  readonly failures: number;
}

/** A segment as one manifest uses it. */
export interface SurveyedSegment extends SegmentDescription {
  /** What it takes on the medium, in bytes: its share, perhaps a fraction, of what is compressed together. */
  readonly storedBytes: number;
  /** The part of the segment that this manifest accounts for; those of all manifests make 1. */
  readonly share: number;
  /** How often the manifest's entries name it. */
  readonly uses: number;
}

/** What a manifest takes and references. */
export interface ManifestSurvey {
  readonly head: ManifestHead;
  /** The bodies of its entries, and what these take on the medium: perhaps a fraction, as above. */
  readonly bodyBytes: number;
  readonly bodyStoredBytes: number;
  /** Each once. */
  readonly segments: readonly SurveyedSegment[];
}

export interface BackendCapabilities {
  /** Whether writes are possible through this handle. */
  readonly writable: boolean;
  /** Whether several processes on different machines may use one store at once. */
  readonly multiMachine: boolean;
  /**
   * What {@link SegmentDescription.references} counts: every entry that references a segment, or every manifest that does,
   * however many of its entries do. Where very many do, a lower bound may do.
   */
  readonly countsReferencesOf: 'entries' | 'manifests';
  /** Part lengths below this many bytes are better kept in the manifest than as segments of their own. */
  readonly inlineBelow: number;
}

/** What a maintenance run left behind: text of the layers above, opaque to the backend. */
export interface StoredReport {
  /** When the run began, in ms since the epoch. */
  readonly time: number;
  /** At most {@link MAX_REPORT_BYTES} of UTF-8. */
  readonly body: string;
}

/** Longest report, in bytes of UTF-8. */
export const MAX_REPORT_BYTES = 64 * 1024;

/** Reports of so many newest runs are kept, at the least. */
export const KEPT_REPORTS = 1000;

/** Reports of maintenance runs, kept in the store. */
export interface ReportLog {
  /** @throws `READ_ONLY`, and what concerns the store. */
  add(report: StoredReport, options?: AbortOptions): Promise<void>;
  /** Newest first, at most `limit` (default: {@link KEPT_REPORTS}, which is also the most). */
  list(options?: AbortOptions & { readonly limit?: number }): Promise<StoredReport[]>;
}

/**
 * A lease that is held. It only avoids doing work twice: nothing may depend on it, because a process that is suspended may believe it
 * has a lease that has long passed to another.
 */
export interface Lease {
  /** Extends it to `ttlMs` from now. Returns whether it was still held; when it is not known, `false`. */
  renew(ttlMs: number, options?: AbortOptions): Promise<boolean>;
  /** Ends it, if it is still held. */
  release(): Promise<void>;
}

export interface Backend {
  readonly capabilities: BackendCapabilities;
  /** The location without credentials, for people. */
  readonly location: string;

  /**
   * Makes the writes happen, each whole or not at all, in order where they concern one key; durable when the promise
   * resolves. Outcomes come in the order of `writes`; a failure of one does not touch the others. What is wrong with one
   * write (its id, its bytes, a `bytes()` that throws) is its own outcome.
   *
   * @throws what concerns the store rather than one write: `READ_ONLY`, `NO_SPACE`, `BUSY`, `UNAVAILABLE`, `CLOSED`,
   *   `ABORTED`, `OUTCOME_UNKNOWN`. Then none of the writes happened, except after `OUTCOME_UNKNOWN`.
   */
  commit(writes: readonly ManifestWrite[], options?: AbortOptions): Promise<WriteOutcome[]>;

  /**
   * Like a `put` of one manifest whose entries arrive over time, in bounded memory. Nothing is visible until the last
   * one is stored. When the iterable throws, that error is thrown on, and nothing remains but garbage for the collector,
   * as after a failure or a put that turns out to be skipped. Entries must keep memory of their own.
   */
  publish(
    write: Omit<PutWrite, 'entries' | 'fields'>,
    entries: AsyncIterable<NewEntry>,
    /** Asked for when the entries have ended. */
    fields: () => ManifestFields,
    options?: AbortOptions,
  ): Promise<WriteOutcome>;

  /** The manifests under `keys`, `undefined` where there is none. Checksums are verified (`CORRUPT`). */
  read(keys: readonly ManifestKey[], options?: ReadManifestOptions): Promise<(StoredManifest | undefined)[]>;

  /** As {@link read} without the entries. */
  heads(keys: readonly ManifestKey[], options?: AbortOptions): Promise<(ManifestHead | undefined)[]>;

  /**
   * All manifests of a kind that pass `filter`; each that exists throughout is listed exactly once.
   *
   * @throws `CORRUPT` or `UNSUPPORTED_FORMAT`, after all others were listed, when the head of one cannot be read.
   */
  list(kind: ManifestKind, filter?: ListFilter, options?: AbortOptions): AsyncIterable<ManifestHead>;

  /**
   * The canonical bytes of each segment, re-hashed (`CORRUPT` with the address). Callers may not alter them.
   *
   * @throws `NOT_FOUND` when a segment has been collected since its locator was obtained: read the manifest again; if
   *   it still names the segment, that is corruption.
   */
  fetch(locators: readonly Locator[], options?: AbortOptions): Promise<Uint8Array[]>;

  /** What is known of each segment. @throws `NOT_FOUND` as {@link fetch}. */
  describe(locators: readonly Locator[], options?: AbortOptions): Promise<SegmentDescription[]>;

  /** The address of each segment: cheaper than {@link describe}, and may not notice that one was collected. */
  addresses(locators: readonly Locator[], options?: AbortOptions): Promise<Address[]>;

  /** Locators by address, `undefined` where no such segment is stored. */
  find(addresses: readonly Address[], options?: AbortOptions): Promise<(Locator | undefined)[]>;

  /** Deletes expired manifests that are not held and collects what nothing references. Safe beside everything. */
  collect(options?: CollectOptions): Promise<CollectReport>;

  /** Verifies the store against itself: yields findings, returns the totals. Safe beside everything. */
  audit(options?: AuditOptions): AsyncGenerator<Finding, AuditReport, undefined>;

  usage(options?: AbortOptions): Promise<Usage>;

  /** Counts of requests; absent where there is no service to ask. */
  metrics?(): RequestMetrics;

  /**
   * What every manifest, of every kind, takes and references. Each is told as it is at one moment, so figures add up exactly while nobody writes.
   * What is damaged or was deleted meanwhile is left out.
   */
  survey(options?: AbortOptions): AsyncIterable<ManifestSurvey>;

  readonly reports: ReportLog;

  /**
   * Takes the lease of that name (1 to 64 of [a-z0-9-]) for `ttlMs`; `undefined` while somebody else has it, or when it is not
   * known whether it was taken.
   */
  lease(name: string, ttlMs: number, options?: AbortOptions): Promise<Lease | undefined>;

  /**
   * Copies the store as it is at one moment into a folder, which then is a store of its own; an older backup there is
   * brought up to date and whole at any moment. Writers go on. Absent where content is copied instead of files.
   *
   * @throws `INVALID_ARGUMENT` when the folder holds anything else, `BUSY` when collections never let it end, `NO_SPACE`.
   */
  backup?(folder: string, options?: BackupOptions): Promise<BackupReport>;

  /** Ends pending work and lets go of files and connections. A second call does nothing. */
  close(): Promise<void>;
}
