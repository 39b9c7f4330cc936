import type { RequestMetrics } from '../../core/request-metrics.ts';

/**
 * The interface that every backend implements: the local directory, S3, memory.
 *
 * A backend stores two things. A **segment** is an immutable byte string under its address. A
 * **manifest** is a named record (a conversation, a blob, a pin) that references segments; its
 * bodies are opaque bytes to the backend. Segments have no life of their own: the commit of the
 * first manifest that references them stores them, the manifests that reference them are counted,
 * and a collection deletes them some time after the last one is gone.
 *
 * The invariant of every implementation: **a committed manifest's segments are readable for as long
 * as it is committed**, whatever crashes, races or retries happen.
 *
 * `test/conformance/` is the executable form of this file; an implementation runs it in a few
 * lines.
 */

import type { AbortOptions } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import type { VarveError } from '../../core/errors.ts';
import type { AuditOptions, AuditReport, Finding } from './audit.ts';
import type { BackupOptions, BackupReport } from './backup.ts';
import type { CollectOptions, CollectReport } from './collection.ts';
import type {
  ListFilter,
  Locator,
  ManifestFields,
  ManifestHead,
  ManifestKey,
  ManifestKind,
  ManifestWrite,
  NewEntry,
  PutWrite,
  ReadManifestOptions,
  SegmentDescription,
  StoredManifest,
  WriteOutcome,
} from './manifests.ts';
import type { Lease, ReportLog } from './reports.ts';
import type { UpgradeReport } from './upgrade.ts';
import type { CountedUsage, ManifestSurvey, Usage } from './usage.ts';

/** Whether a store can be used now. */
export interface Health {
  readonly healthy: boolean;
  /** How long the check took, in ms. */
  readonly latencyMs: number;
  /** Why it is unhealthy. */
  readonly error?: VarveError;
}

/** What a backend can do, and how callers use it best. */
export interface BackendCapabilities {
  /** Whether writes are possible through this handle. */
  readonly writable: boolean;
  /** Whether several processes on different machines may use one store at once. */
  readonly multiMachine: boolean;
  /**
   * What `references` of a segment counts: every entry that references a segment, or every manifest
   * that does, with any number of its entries. For segments with very many references it may be a
   * lower bound.
   */
  readonly countsReferencesOf: 'entries' | 'manifests';
  /** Parts shorter than this many bytes are better kept in the manifest than as segments. */
  readonly inlineBelow: number;
  /** Most writes that are better committed together than one part after the other. */
  readonly writesTogether: number;
}

/** Where a store keeps its manifests and segments: what every implementation promises. */
export interface Backend {
  readonly capabilities: BackendCapabilities;
  /** The location without credentials, for people. */
  readonly location: string;
  /**
   * Distinguishes this store from another one created later at its location; absent where {@link
   * backup} distinguishes them.
   */
  readonly identity?: string | undefined;
  /** Version of the stored form, counted for each kind of store. */
  readonly format: number;

  /**
   * Executes the writes, each whole or not at all, in order where they concern one key; durable
   * when the promise resolves. Outcomes come in the order of `writes`; a failure of one does not
   * affect the others. An error in one write (a property of another type, a getter or a `bytes()`
   * that throws, wrong bytes) is its own outcome, `INVALID_ARGUMENT`. Writes are read during the
   * call; the memory of their bytes must not change before the promise resolves.
   *
   * @throws errors of the store rather than of one write: `READ_ONLY`, `NO_SPACE`, `BUSY`,
   *   `UNAVAILABLE`, `CLOSED`, `ABORTED`, `OUTCOME_UNKNOWN`. Then none of the writes happened,
   *   except after `OUTCOME_UNKNOWN`.
   */
  commit(writes: readonly ManifestWrite[], options?: AbortOptions): Promise<WriteOutcome[]>;

  /**
   * Like a `put` of one manifest whose entries arrive over time, in bounded memory. Nothing is
   * visible until the last entry is stored. Rethrows what the iterable throws; then only garbage
   * for the collector remains, as after a failure or a put that is skipped in the end. Every entry
   * needs memory of its own.
   */
  publish(
    write: Omit<PutWrite, 'entries' | 'fields'>,
    entries: AsyncIterable<NewEntry>,
    /** Called when the entries have ended. */
    fields: () => ManifestFields,
    options?: AbortOptions,
  ): Promise<WriteOutcome>;

  /**
   * Returns the manifests under `keys`, `undefined` where there is none. Verifies checksums
   * (`CORRUPT`).
   *
   * @throws `INVALID_ARGUMENT`, like all reading methods, for an invalid key, address, locator or
   *   filter.
   */
  read(
    keys: readonly ManifestKey[],
    options?: ReadManifestOptions,
  ): Promise<(StoredManifest | undefined)[]>;

  /** As {@link read} without the entries. */
  heads(
    keys: readonly ManifestKey[],
    options?: AbortOptions,
  ): Promise<(ManifestHead | undefined)[]>;

  /**
   * Lists all manifests of a kind that pass `filter`; each that exists throughout appears exactly
   * once.
   *
   * @throws `CORRUPT` or `UNSUPPORTED_FORMAT`, after all others were listed, when the head of one
   *   cannot be read.
   */
  list(
    kind: ManifestKind,
    filter?: ListFilter,
    options?: AbortOptions,
  ): AsyncIterable<ManifestHead>;

  /**
   * Returns the canonical bytes of each segment, re-hashed (`CORRUPT` with the address), in memory
   * that the caller owns. The caller also owns the bodies that {@link read} returns.
   *
   * @throws `NOT_FOUND` when a segment has been collected since its locator was obtained: read the
   *   manifest again; if it still names the segment, the store is corrupt.
   */
  fetch(locators: readonly Locator[], options?: AbortOptions): Promise<Uint8Array[]>;

  /** Describes each segment. @throws `NOT_FOUND` as {@link fetch}. */
  describe(locators: readonly Locator[], options?: AbortOptions): Promise<SegmentDescription[]>;

  /**
   * Returns the address of each segment: cheaper than {@link describe}, and may not notice that one
   * was collected.
   */
  addresses(locators: readonly Locator[], options?: AbortOptions): Promise<Address[]>;

  /** Returns locators by address, `undefined` where no such segment is stored. */
  find(addresses: readonly Address[], options?: AbortOptions): Promise<(Locator | undefined)[]>;

  /**
   * Deletes expired manifests that are not held and collects what nothing references. Safe to run
   * beside any other call.
   */
  collect(options?: CollectOptions): Promise<CollectReport>;

  /**
   * Verifies the store against itself: yields findings, returns the totals. Safe to run beside any
   * other call.
   */
  audit(options?: AuditOptions): AsyncGenerator<Finding, AuditReport, undefined>;

  /** What is stored, and what it occupies. */
  usage(options?: AbortOptions): Promise<Usage>;

  /**
   * As {@link usage}, for a few requests however much is stored: what was counted last, and when;
   * `undefined` when it never was.
   */
  lastUsage(options?: AbortOptions): Promise<CountedUsage | undefined>;

  /** Counts, for {@link lastUsage}; absent where that counts itself. */
  recount?(options?: AbortOptions): Promise<void>;

  /**
   * Checks with one cheap read whether the store answers and is still the one that was opened.
   * Writes nothing, so it does not promise that a write would succeed. Returns what is wrong
   * instead of throwing it.
   *
   * @throws `CLOSED`, `ABORTED`.
   */
  health(options?: AbortOptions): Promise<Health>;

  /** Counts of requests; absent without a storage service. */
  metrics?(): RequestMetrics;

  /**
   * What every manifest, of every kind, references and occupies. Describes each at one moment, so
   * figures add up exactly while nobody writes. Skips what is damaged or was deleted meanwhile.
   */
  survey(options?: AbortOptions): AsyncIterable<ManifestSurvey>;

  readonly reports: ReportLog;

  /**
   * Takes the lease of that name (1 to 64 of [a-z0-9-]) for `ttlMs`; `undefined` while somebody
   * else holds it, or when it is unknown whether it was taken.
   */
  lease(name: string, ttlMs: number, options?: AbortOptions): Promise<Lease | undefined>;

  /**
   * Copies the store as of one moment into a folder, which then is a store of its own. Updates an
   * older backup there, which is complete at any moment. Writers continue. Absent where content is
   * copied instead of files.
   *
   * @throws `INVALID_ARGUMENT` when the folder contains anything else, `BUSY` when collections keep
   *   interrupting it, `NO_SPACE`.
   */
  backup?(folder: string, options?: BackupOptions): Promise<BackupReport>;

  /**
   * Brings the store to the newest format, while it is used; may be repeated. Absent where opening
   * does that.
   *
   * @throws `BUSY` while another process does.
   */
  upgrade?(options?: AbortOptions): Promise<UpgradeReport>;

  /**
   * @throws `CLOSED` once {@link close} was called: for callers that hand out what they read
   *   earlier.
   */
  assertOpen(): void;

  /** Finishes pending work, then closes files and connections. A second call does nothing. */
  close(): Promise<void>;
}
