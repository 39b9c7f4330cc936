import type { RequestMetrics } from '../../core/request-metrics.ts';

/**
 * The one interface that every place to store things implements: the local directory, S3, memory.
 *
 * A backend stores two things. A **segment** is an immutable byte string under its address. A
 * **manifest** is a named record (a conversation, a blob, a pin) that references segments; its
 * bodies are opaque bytes to the backend. Segments have no life of their own: they are stored by
 * the commit of the first manifest that references them, counted by the manifests that do, and
 * collected some time after the last one is gone.
 *
 * The invariant every implementation keeps: **a committed manifest's segments are readable, for as
 * long as it is committed**, whatever crashes, races or retries happen.
 *
 * `test/conformance/` is the executable form of this file; an implementation runs it in a few
 * lines.
 */

import type { AbortOptions } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import type { VarveError } from '../../core/errors.ts';
import type {
  AuditOptions,
  AuditReport,
  BackupOptions,
  BackupReport,
  CollectOptions,
  CollectReport,
  Finding,
  Lease,
  ManifestSurvey,
  ReportLog,
  Usage,
} from './maintenance.ts';
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

/** Whether a store can be worked with now. */
export interface Health {
  readonly healthy: boolean;
  /** How long it took to find out, in ms. */
  readonly latencyMs: number;
  /** Why it is not healthy. */
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
   * that does, however many of its entries do. Where very many do, a lower bound may do.
   */
  readonly countsReferencesOf: 'entries' | 'manifests';
  /**
   * Part lengths below this many bytes are better kept in the manifest than as segments of their
   * own.
   */
  readonly inlineBelow: number;
}

/** Where a store keeps its manifests and segments: what every implementation promises. */
export interface Backend {
  readonly capabilities: BackendCapabilities;
  /** The location without credentials, for people. */
  readonly location: string;
  /**
   * Tells this store from another that is made later at its location; absent where {@link backup}
   * tells them apart.
   */
  readonly identity?: string | undefined;

  /**
   * Makes the writes happen, each whole or not at all, in order where they concern one key; durable
   * when the promise resolves. Outcomes come in the order of `writes`; a failure of one does not
   * touch the others. What is wrong with one write (a property of another type, a getter or a
   * `bytes()` that throws, wrong bytes) is its own outcome, `INVALID_ARGUMENT`. Writes are read in
   * the call; the memory of their bytes must not change before the promise resolves.
   *
   * @throws what concerns the store rather than one write: `READ_ONLY`, `NO_SPACE`, `BUSY`,
   *   `UNAVAILABLE`, `CLOSED`, `ABORTED`, `OUTCOME_UNKNOWN`. Then none of the writes happened,
   *   except after `OUTCOME_UNKNOWN`.
   */
  commit(writes: readonly ManifestWrite[], options?: AbortOptions): Promise<WriteOutcome[]>;

  /**
   * Like a `put` of one manifest whose entries arrive over time, in bounded memory. Nothing is
   * visible until the last one is stored. When the iterable throws, that error is thrown on, and
   * nothing remains but garbage for the collector, as after a failure or a put that turns out to be
   * skipped. Entries must keep memory of their own.
   */
  publish(
    write: Omit<PutWrite, 'entries' | 'fields'>,
    entries: AsyncIterable<NewEntry>,
    /** Asked for when the entries have ended. */
    fields: () => ManifestFields,
    options?: AbortOptions,
  ): Promise<WriteOutcome>;

  /**
   * The manifests under `keys`, `undefined` where there is none. Checksums are verified
   * (`CORRUPT`).
   *
   * @throws `INVALID_ARGUMENT`, as all that read, for what is no key, address, locator or filter.
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
   * All manifests of a kind that pass `filter`; each that exists throughout is listed exactly once.
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
   * The canonical bytes of each segment, re-hashed (`CORRUPT` with the address), in memory that is
   * the caller's. So are the bodies that {@link read} returns.
   *
   * @throws `NOT_FOUND` when a segment has been collected since its locator was obtained: read the
   *   manifest again; if it still names the segment, that is corruption.
   */
  fetch(locators: readonly Locator[], options?: AbortOptions): Promise<Uint8Array[]>;

  /** What is known of each segment. @throws `NOT_FOUND` as {@link fetch}. */
  describe(locators: readonly Locator[], options?: AbortOptions): Promise<SegmentDescription[]>;

  /**
   * The address of each segment: cheaper than {@link describe}, and may not notice that one was
   * collected.
   */
  addresses(locators: readonly Locator[], options?: AbortOptions): Promise<Address[]>;

  /** Locators by address, `undefined` where no such segment is stored. */
  find(addresses: readonly Address[], options?: AbortOptions): Promise<(Locator | undefined)[]>;

  /**
   * Deletes expired manifests that are not held and collects what nothing references. Safe beside
   * everything.
   */
  collect(options?: CollectOptions): Promise<CollectReport>;

  /**
   * Verifies the store against itself: yields findings, returns the totals. Safe beside everything.
   */
  audit(options?: AuditOptions): AsyncGenerator<Finding, AuditReport, undefined>;

  /** What is stored, and what it takes. */
  usage(options?: AbortOptions): Promise<Usage>;

  /**
   * Whether the store answers and is still the one that was opened, by one cheap read. Nothing is
   * written: that a write would succeed is not promised. What is wrong is told, not thrown.
   *
   * @throws `CLOSED`, `ABORTED`.
   */
  health(options?: AbortOptions): Promise<Health>;

  /** Counts of requests; absent where there is no service to ask. */
  metrics?(): RequestMetrics;

  /**
   * What every manifest, of every kind, takes and references. Each is told as it is at one moment,
   * so figures add up exactly while nobody writes. What is damaged or was deleted meanwhile is left
   * out.
   */
  survey(options?: AbortOptions): AsyncIterable<ManifestSurvey>;

  readonly reports: ReportLog;

  /**
   * Takes the lease of that name (1 to 64 of [a-z0-9-]) for `ttlMs`; `undefined` while somebody
   * else has it, or when it is not known whether it was taken.
   */
  lease(name: string, ttlMs: number, options?: AbortOptions): Promise<Lease | undefined>;

  /**
   * Copies the store as it is at one moment into a folder, which then is a store of its own; an
   * older backup there is brought up to date and whole at any moment. Writers go on. Absent where
   * content is copied instead of files.
   *
   * @throws `INVALID_ARGUMENT` when the folder holds anything else, `BUSY` when collections never
   *   let it end, `NO_SPACE`.
   */
  backup?(folder: string, options?: BackupOptions): Promise<BackupReport>;

  /**
   * @throws `CLOSED` once {@link close} was called: for those who hand out what they have read
   * before.
   */
  assertOpen(): void;

  /** Ends pending work, then closes files and connections. A second call does nothing. */
  close(): Promise<void>;
}
