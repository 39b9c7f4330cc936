import { type AbortOptions, abortOf, throwIfAborted } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import {
  AUDIT_OPTIONS,
  type AuditOptions,
  type AuditReport,
  type Finding,
} from '../contract/audit.ts';
import type { Backend, BackendCapabilities, Health } from '../contract/backend.ts';
import type { BackupOptions, BackupReport } from '../contract/backup.ts';
import {
  type CollectOptions,
  type CollectReport,
  readCollectOptions,
} from '../contract/collection.ts';
import { healthBy } from '../contract/health.ts';
import type {
  ListFilter,
  Locator,
  ManifestFields,
  ManifestHead,
  ManifestKey,
  ManifestKind,
  ManifestWrite,
  NewEntry,
  ReadManifestOptions,
  SegmentDescription,
  StoredManifest,
  WriteOutcome,
} from '../contract/manifests.ts';
import { takeAddresses, takeFilter, takeKeys, takeLocators } from '../contract/read-validation.ts';
import type { Lease, ReportLog } from '../contract/reports.ts';
import type { CountedUsage, ManifestSurvey, Usage } from '../contract/usage.ts';
import { whileOpen } from '../contract/while-open.ts';
import { commitTaken, type PublishWrite, publishTaken } from '../contract/write-intake.ts';
import { auditLocal } from './audit/audit.ts';
import { collectLocal } from './collect/collect.ts';
import { CommitQueue } from './commit/commit-queue.ts';
import type { LocalWrite } from './commit/local-write.ts';
import type { MaintenanceContext } from './commit/maintenance-context.ts';
import { publishStream } from './commit/publication.ts';
import { checkpoint, withSmallCache } from './database/index-upkeep.ts';
import { type CompleteLocalOptions, completeOptions, type LocalOptions } from './local-options.ts';
import { closeFiles, type LocalComponents, type OpenedFiles, openFiles } from './opening.ts';
import { backUp } from './operations/backup.ts';
import { deleteInBulk, isBulkDelete } from './operations/bulk-delete.ts';
import { assertUsable } from './operations/health.ts';
import { LocalLifecycle } from './operations/local-lifecycle.ts';
import { acquireLease } from './operations/named-lease.ts';
import {
  addressOf,
  describeSegment,
  fetchSegment,
  findSegment,
  readHead,
  readHeads,
  readManifest,
} from './operations/reading.ts';
import { LocalReportLog } from './operations/report-log.ts';
import { Snapshots } from './operations/snapshots.ts';
import { surveyManifests } from './operations/survey.ts';
import { localUsage } from './operations/usage.ts';
import { LocalIndex } from './tables/local-index.ts';
import type { ListCursor } from './tables/manifest-list.ts';

/** What an open store is made of, as commits, collections and audits see it. */
type StoreParts = OpenedFiles & Omit<MaintenanceContext, 'commit'>;

/** A commit costs two flushes, so few are better; their rows are in memory until then. */
const WRITES_TOGETHER = 8192;

/**
 * A store in a directory: compressed blocks in pack files, and a SQLite index. docs/local-store.md
 * has its invariants, docs/formats.md its formats.
 */
export class LocalBackend implements Backend {
  readonly capabilities: BackendCapabilities;
  readonly location: string;
  readonly format: number;
  readonly reports: ReportLog;
  readonly #parts: StoreParts;
  readonly #queue: CommitQueue;
  readonly #lifecycle: LocalLifecycle;
  readonly #snapshots: Snapshots;

  private constructor(
    files: OpenedFiles,
    options: CompleteLocalOptions,
    components: LocalComponents,
  ) {
    const { readOnly, inlineBelow, compressionLevel: level, signal } = options;
    const { segmentBlockBytes, bodyBlockBytes } = options;
    const { root } = files.folder;
    this.location = `file:${root}`;
    this.format = files.database.format;
    this.capabilities = {
      writable: !readOnly,
      multiMachine: false,
      countsReferencesOf: 'entries',
      inlineBelow,
      writesTogether: WRITES_TOGETHER,
    };
    const index = new LocalIndex(root, files.database, files.packs);
    const tuning = {
      segments: { blockBytes: segmentBlockBytes, level },
      bodies: { blockBytes: bodyBlockBytes, level },
    };
    this.#parts = { ...files, root, index, tuning, clock: components.clock ?? Date.now };
    this.#queue = new CommitQueue(this.#parts);
    this.#lifecycle = new LocalLifecycle(root, !readOnly, signal);
    this.#snapshots = new Snapshots(index, this.#lifecycle);
    this.reports = new LocalReportLog(files.database, this.#lifecycle);
  }

  /** Opens the store in a directory. @throws as {@link openFiles}. */
  static async open(
    path: string,
    options: LocalOptions = {},
    components: LocalComponents = {},
  ): Promise<LocalBackend> {
    const complete = completeOptions(options);
    return new LocalBackend(await openFiles(path, complete), complete, components);
  }

  async commit(
    writes: readonly ManifestWrite[],
    options: AbortOptions = {},
  ): Promise<WriteOutcome[]> {
    this.#lifecycle.assertWritable();
    return commitTaken(writes, (taken) => this.#enqueue(taken, this.#lifecycle.begin(options)));
  }

  async publish(
    write: PublishWrite,
    entries: AsyncIterable<NewEntry>,
    fields: () => ManifestFields,
    options: AbortOptions = {},
  ): Promise<WriteOutcome> {
    this.#lifecycle.assertWritable();
    const owner = await this.#lifecycle.doing('writing to', () => this.#parts.owner.name);
    return publishTaken(write, entries, fields, (...taken) =>
      publishStream(
        (writes, signal) => this.#commit(writes, signal),
        owner,
        ...taken,
        abortOf(this.#lifecycle.begin(options)),
      ),
    );
  }

  async read(
    keys: readonly ManifestKey[],
    options: ReadManifestOptions = {},
  ): Promise<(StoredManifest | undefined)[]> {
    return this.#each(takeKeys(keys), options, (index, key) =>
      readManifest(index, key, options.entries),
    );
  }

  async heads(
    keys: readonly ManifestKey[],
    options: AbortOptions = {},
  ): Promise<(ManifestHead | undefined)[]> {
    return this.#each(takeKeys(keys), options, readHead);
  }

  async *list(
    kind: ManifestKind,
    filter: ListFilter = {},
    options: AbortOptions = {},
  ): AsyncIterable<ManifestHead> {
    const taken = takeFilter(kind, filter);
    yield* this.#snapshots.pages<ManifestHead, ListCursor>(
      this.#lifecycle.begin(options),
      (index, cursor) => readHeads(index, kind, taken, cursor),
    );
  }

  async fetch(locators: readonly Locator[], options: AbortOptions = {}): Promise<Uint8Array[]> {
    return this.#each(takeLocators(locators), options, fetchSegment);
  }

  async describe(
    locators: readonly Locator[],
    options: AbortOptions = {},
  ): Promise<SegmentDescription[]> {
    return this.#each(takeLocators(locators), options, describeSegment);
  }

  async addresses(locators: readonly Locator[], options: AbortOptions = {}): Promise<Address[]> {
    return this.#each(takeLocators(locators), options, addressOf);
  }

  async find(
    addresses: readonly Address[],
    options: AbortOptions = {},
  ): Promise<(Locator | undefined)[]> {
    return this.#each(takeAddresses(addresses), options, findSegment);
  }

  async collect(options?: CollectOptions): Promise<CollectReport> {
    const settings = readCollectOptions(options);
    if (!settings.dryRun) this.#lifecycle.assertWritable();
    return this.#maintain('collecting', settings, (context, signalled) =>
      withSmallCache(this.#parts.database, () => collectLocal(context, signalled)),
    );
  }

  async *audit(options?: AuditOptions): AsyncGenerator<Finding, AuditReport, undefined> {
    const settings = AUDIT_OPTIONS.read('audit', options);
    if (settings.repair) this.#lifecycle.assertWritable();
    const { findings, report } = await this.#maintain('auditing', settings, auditLocal);
    for (const finding of findings) {
      this.assertOpen();
      yield finding;
    }
    return report;
  }

  async backup(folder: string, options: BackupOptions = {}): Promise<BackupReport> {
    return this.#maintain('backing up', options, (context, signalled) =>
      backUp(context.folder, this.#parts.database, folder, signalled, this.#parts.clock()),
    );
  }

  async usage(options: AbortOptions = {}): Promise<Usage> {
    this.#lifecycle.begin(options);
    return this.#lifecycle.doing('measuring', () => {
      this.#parts.folder.assertInPlace();
      // So that what the store is said to take is what it takes once it is closed.
      if (this.capabilities.writable) checkpoint(this.#parts.database);
      return this.#snapshots.take((index) => localUsage(this.#parts.folder, index));
    });
  }

  async lastUsage(options: AbortOptions = {}): Promise<CountedUsage> {
    return { countedAt: this.#parts.clock(), usage: await this.usage(options) };
  }

  async *survey(options: AbortOptions = {}): AsyncIterable<ManifestSurvey> {
    const signal = this.#lifecycle.begin(options);
    yield* whileOpen(this, surveyManifests(this.#snapshots, signal));
  }

  async health(options: AbortOptions = {}): Promise<Health> {
    this.#lifecycle.begin(options);
    return healthBy(async () => {
      assertUsable(this.#parts.folder, this.capabilities.writable);
      // Reads what every transaction reads first.
      this.#snapshots.take(() => {});
    });
  }

  async lease(name: string, ttlMs: number, options: AbortOptions = {}): Promise<Lease | undefined> {
    return acquireLease(
      this.#parts.database,
      this.#lifecycle,
      this.#parts.clock,
      name,
      ttlMs,
      options,
    );
  }

  assertOpen(): void {
    this.#lifecycle.assertOpen();
  }

  close(): Promise<void> {
    return this.#lifecycle.close(async () => {
      await this.#queue.idle();
      await closeFiles(this.#parts);
    });
  }

  async #commit(
    writes: readonly LocalWrite[],
    signal: AbortSignal | undefined,
  ): Promise<WriteOutcome[]> {
    this.assertOpen();
    throwIfAborted(signal);
    return this.#enqueue(writes, signal);
  }

  #enqueue(
    writes: readonly LocalWrite[],
    signal: AbortSignal | undefined,
  ): Promise<WriteOutcome[]> {
    return isBulkDelete(writes)
      ? deleteInBulk(this.#snapshots, this.#queue, writes, signal)
      : this.#queue.commit(writes, signal);
  }

  #each<Item, Result>(
    items: readonly Item[],
    options: AbortOptions,
    read: (index: LocalIndex, item: Item) => Result,
  ): Promise<Result[]> {
    return this.#snapshots.each(items, this.#lifecycle.begin(options), read);
  }

  /** Runs long work, until it ends, is aborted, or the store is closed. */
  async #maintain<Options extends AbortOptions, Result>(
    doing: string,
    options: Options,
    work: (context: MaintenanceContext, options: Options) => Promise<Result>,
  ): Promise<Result> {
    const signal = this.#lifecycle.beginLong(options);
    const commit = (writes: readonly LocalWrite[]) => this.#commit(writes, signal);
    return this.#lifecycle.doing(doing, () => {
      this.#parts.folder.assertInPlace();
      return work({ ...this.#parts, commit }, { ...options, signal });
    });
  }
}
