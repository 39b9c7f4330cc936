import { accessSync, constants, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { countTokens } from '../../cas/codec/token-codec.ts';
import { type AbortOptions, throwIfAborted } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import { isVarveError, VarveError } from '../../core/errors.ts';
import { ownCopy } from '../../core/own-copy.ts';
import { toVarveError } from '../../core/system/system-error.ts';
import type { Backend, BackendCapabilities, Health } from '../contract/backend.ts';
import { healthBy } from '../contract/health.ts';
import {
  AUDIT_OPTIONS,
  type AuditOptions,
  type AuditReport,
  type BackupOptions,
  type BackupReport,
  type CollectOptions,
  type CollectReport,
  type Finding,
  type Lease,
  type ManifestSurvey,
  type ReportLog,
  readCollectOptions,
  type Usage,
} from '../contract/maintenance.ts';
import {
  type ListFilter,
  type Locator,
  MANIFEST_KINDS,
  type ManifestFields,
  type ManifestHead,
  type ManifestKey,
  type ManifestKind,
  type ManifestWrite,
  type NewEntry,
  type ReadManifestOptions,
  type SegmentDescription,
  type StoredManifest,
  type WriteOutcome,
} from '../contract/manifests.ts';
import { takeAddresses, takeFilter, takeKeys, takeLocators } from '../contract/read-validation.ts';
import { whileOpen } from '../contract/while-open.ts';
import { commitTaken, type PublishWrite, publishTaken } from '../contract/write-intake.ts';
import { auditLocal } from './audit/audit.ts';
import { collectLocal } from './collect/collect.ts';
import { CommitQueue } from './commit/commit-queue.ts';
import type { CommitTuning, LocalWrite } from './commit/commit-transaction.ts';
import type { MaintenanceContext } from './commit/maintenance-context.ts';
import { publishStream } from './commit/publication.ts';
import { IndexDatabase } from './database/index-database.ts';
import { networkFileSystem } from './files/network-file-system.ts';
import { PackReader, PackVanished } from './files/pack-files.ts';
import type { SharedWith } from './files/plain-files.ts';
import { StoreFolder } from './files/store-folder.ts';
import { SEGMENTS, SWEPT } from './format/schema.ts';
import { backUp } from './operations/backup.ts';
import { acquireLease } from './operations/named-lease.ts';
import { LocalReportLog } from './operations/report-log.ts';
import { surveyManifest } from './operations/survey.ts';
import { localUsage } from './operations/usage.ts';
import { PackOwner } from './packs/pack-owner.ts';
import type { RecordPlace } from './packs/record-store.ts';
import { LocalIndex } from './tables/local-index.ts';
import { type ListCursor, listPage } from './tables/manifest-list.ts';

export interface LocalOptions {
  /** Create the store if there is none. Default: true. */
  readonly create?: boolean;
  /** Never write; works on a read-only medium. Default: false. */
  readonly readOnly?: boolean;
  /** Ends the opening. Default: nothing does. */
  readonly signal?: AbortSignal;
  /** Open a store on a network file system, whose locks may not hold. Default: false. */
  readonly allowNetworkFileSystem?: boolean;
  /**
   * How long a write waits for other processes' writes before it fails with `BUSY`, in ms. Default:
   * 60,000.
   */
  readonly lockTimeoutMs?: number;
  /** Who may use what is created. Default: as the store's index has it, `owner` for a new store. */
  readonly sharedWith?: SharedWith;
  /** Segments are compressed together in blocks of this many bytes. Default: 256 KiB. */
  readonly segmentBlockBytes?: number;
  /** Manifest bodies are compressed together in blocks of this many bytes. Default: 1 MiB. */
  readonly bodyBlockBytes?: number;
  /** zstd level, 1 to 19. Default: 5. */
  readonly compressionLevel?: number;
  /** A pack file is sealed when it has this many bytes. Default: 64 MiB. */
  readonly packBytes?: number;
  /** Parts of messages shorter than this many bytes live in the manifest. Default: 512. */
  readonly inlineBelow?: number;
}

export interface LocalComponents {
  /** Milliseconds since the epoch. Default: `Date.now`. */
  readonly clock?: () => number;
}

/**
 * A lookup that met a vanished pack is made again in a new snapshot, at most this often in a row.
 */
const SNAPSHOT_ATTEMPTS = 10;

/** Manifests read, and segments located, before other work gets its turn. */
const TURN_ITEMS = 64;

/**
 * A store in a directory: compressed blocks in pack files, and a SQLite index. docs/local-store.md
 * has its invariants, docs/formats.md its formats.
 */
export class LocalBackend implements Backend {
  readonly capabilities: BackendCapabilities;
  readonly location: string;
  readonly reports: ReportLog;
  readonly #root: string;
  readonly #folder: StoreFolder;
  readonly #database: IndexDatabase;
  readonly #packs: PackReader;
  readonly #index: LocalIndex;
  readonly #owner: PackOwner;
  readonly #queue: CommitQueue;
  readonly #tuning: CommitTuning;
  readonly #clock: () => number;
  /** Collections and audits under way, and what ends them when the store is closed. */
  readonly #running = new Set<Promise<unknown>>();
  readonly #ending = new AbortController();
  #closing: Promise<void> | undefined;

  private constructor(
    folder: StoreFolder,
    database: IndexDatabase,
    options: LocalOptions,
    components: LocalComponents,
  ) {
    const { readOnly = false, inlineBelow = 512, compressionLevel: level = 5 } = options;
    const {
      segmentBlockBytes = 256 * 1024,
      bodyBlockBytes = 1024 * 1024,
      packBytes = 64 * 1024 * 1024,
    } = options;
    const { root } = folder;
    this.#root = root;
    this.#folder = folder;
    this.location = `file:${root}`;
    this.capabilities = {
      writable: !readOnly,
      multiMachine: false,
      countsReferencesOf: 'entries',
      inlineBelow,
    };
    this.#database = database;
    this.#packs = new PackReader(folder);
    const reports = new LocalReportLog(database);
    this.reports = {
      add: async (report, options = {}) => {
        this.#assertWritable();
        throwIfAborted(options.signal);
        await this.#tracked('writing a report to', () => reports.add(report));
      },
      list: async (options = {}) => {
        this.assertOpen();
        throwIfAborted(options.signal);
        return this.#tracked('reading the reports of', () => reports.list(options));
      },
    };
    this.#index = new LocalIndex(root, database, this.#packs);
    this.#owner = new PackOwner(folder, database, packBytes);
    this.#tuning = {
      segments: { blockBytes: segmentBlockBytes, level },
      bodies: { blockBytes: bodyBlockBytes, level },
    };
    this.#clock = components.clock ?? Date.now;
    this.#queue = new CommitQueue(this.#index, this.#owner, this.#tuning, this.#clock);
  }

  /**
   * Opens the store in a directory.
   *
   * @throws `NOT_FOUND`, `INVALID_ARGUMENT`, `UNSUPPORTED_FORMAT`, `CORRUPT`, `DENIED`,
   *   `READ_ONLY`.
   */
  static async open(
    path: string,
    options: LocalOptions = {},
    components: LocalComponents = {},
  ): Promise<LocalBackend> {
    const {
      create = true,
      readOnly = false,
      lockTimeoutMs = 60_000,
      allowNetworkFileSystem = false,
      sharedWith,
    } = options;
    const root = resolve(path);
    try {
      const existing = statSync(root, { throwIfNoEntry: false });
      if (existing !== undefined && !existing.isDirectory()) {
        throw new VarveError('INVALID_ARGUMENT', `${root} is a file: a Varve store is a directory`);
      }
      const network = networkFileSystem(root);
      if (network !== undefined && !readOnly && !allowNetworkFileSystem) {
        throw new VarveError(
          'INVALID_ARGUMENT',
          `${root} is on a network file system (${network}), whose locks do not protect a ` +
            'store: use a local disk or an s3: location',
        );
      }
    } catch (cause) {
      throw toVarveError(cause, `opening the store at ${root}`);
    }
    for (const deadline = performance.now() + lockTimeoutMs; ; ) {
      throwIfAborted(options.signal);
      const folder = new StoreFolder(root);
      try {
        const database = IndexDatabase.open(folder, {
          create,
          readOnly,
          lockTimeoutMs,
          sharedWith,
        });
        const backend = new LocalBackend(folder, database, options, components);
        if (!readOnly) backend.#takeLock();
        return backend;
      } catch (error) {
        folder.close();
        // Another process creates the store, or recovers it after a crash.
        if (!isVarveError(error, 'BUSY') || performance.now() > deadline) throw error;
        await sleep(Math.random() * 50);
      }
    }
  }

  /** Upgrades to a later format wait for those who hold their lock. */
  #takeLock(): void {
    try {
      this.#owner.takeLock();
    } catch (cause) {
      this.#database.close();
      throw toVarveError(cause, `opening the store at ${this.#folder.root}`);
    }
  }

  async commit(
    writes: readonly ManifestWrite[],
    { signal }: AbortOptions = {},
  ): Promise<WriteOutcome[]> {
    this.#assertWritable();
    return commitTaken(writes, (taken) => this.#commit(taken, signal));
  }

  async publish(
    write: PublishWrite,
    entries: AsyncIterable<NewEntry>,
    fields: () => ManifestFields,
    options: AbortOptions = {},
  ): Promise<WriteOutcome> {
    this.#assertWritable();
    const commit = (writes: readonly LocalWrite[], signal: AbortSignal | undefined) =>
      this.#commit(writes, signal);
    const owner = await this.#tracked('writing to', () => this.#owner.name);
    return publishTaken(write, entries, fields, (...taken) =>
      publishStream(commit, owner, ...taken, options),
    );
  }

  async read(
    keys: readonly ManifestKey[],
    options: ReadManifestOptions = {},
  ): Promise<(StoredManifest | undefined)[]> {
    return this.#each(takeKeys(keys), options, (key) => {
      const row = this.#index.manifests.find(key);
      if (row === undefined) return undefined;
      const bodies = this.#index.manifests.bodies(row, options.entries === 'newest');
      const entries = bodies.map((id) => {
        const { segments, body } = this.#index.body(id, key);
        return { body: ownCopy(body), segments: segments as unknown as Locator[] };
      });
      return { ...this.#index.manifests.head(row), entries };
    });
  }

  async heads(
    keys: readonly ManifestKey[],
    options: AbortOptions = {},
  ): Promise<(ManifestHead | undefined)[]> {
    return this.#each(takeKeys(keys), options, (key) => {
      const row = this.#index.manifests.find(key);
      return row === undefined ? undefined : this.#index.manifests.head(row);
    });
  }

  async *list(
    kind: ManifestKind,
    filter: ListFilter = {},
    { signal }: AbortOptions = {},
  ): AsyncIterable<ManifestHead> {
    const taken = takeFilter(kind, filter);
    let cursor: ListCursor | undefined;
    for (;;) {
      throwIfAborted(signal);
      const { heads, last, isLast } = this.#snapshot(() => {
        const page = listPage(this.#index, kind, taken, cursor);
        return {
          heads: page.rows.map((row) => this.#index.manifests.head(row)),
          last: page.rows.at(-1),
          isLast: page.isLast,
        };
      });
      for (const head of heads) {
        this.assertOpen();
        yield head;
      }
      if (isLast || last === undefined) return;
      cursor = { id: last.id, created: last.created };
      await nextTurn();
    }
  }

  async fetch(locators: readonly Locator[], options: AbortOptions = {}): Promise<Uint8Array[]> {
    return this.#each(takeLocators(locators), options, (locator) => {
      const place = this.#place(locator);
      const bytes = this.#index.records.segment(place);
      // Token ids are unpacked for each reader; other bytes are a part of a block that stays in
      // memory.
      return place.directory.isTokens(place.slot) ? bytes : ownCopy(bytes);
    });
  }

  async describe(
    locators: readonly Locator[],
    options: AbortOptions = {},
  ): Promise<SegmentDescription[]> {
    return this.#each(takeLocators(locators), options, (locator) => {
      const place = this.#place(locator);
      const { directory, slot } = place;
      const isTokens = directory.isTokens(slot);
      return {
        address: directory.address(slot),
        encoding: isTokens ? 'tokens' : 'bytes',
        length: isTokens
          ? countTokens(this.#index.records.stored(place)) * 4
          : directory.storedLength(slot),
        references: this.#index.ledger.count(SEGMENTS, Number(locator)),
      };
    });
  }

  async addresses(locators: readonly Locator[], options: AbortOptions = {}): Promise<Address[]> {
    return this.#each(takeLocators(locators), options, (locator) => {
      const { directory, slot } = this.#place(locator);
      return directory.address(slot);
    });
  }

  async find(
    addresses: readonly Address[],
    options: AbortOptions = {},
  ): Promise<(Locator | undefined)[]> {
    const find = (address: Address) => this.#index.segments.find(address) as Locator | undefined;
    return this.#each(takeAddresses(addresses), options, find);
  }

  async collect(options?: CollectOptions): Promise<CollectReport> {
    const settings = readCollectOptions(options);
    if (!settings.dryRun) this.#assertWritable();
    return this.#maintain('collecting', settings, (context, signalled) =>
      this.#database.sweeping(() => collectLocal(context, signalled)),
    );
  }

  async *audit(options?: AuditOptions): AsyncGenerator<Finding, AuditReport, undefined> {
    const settings = AUDIT_OPTIONS.read('audit', options);
    if (settings.repair) this.#assertWritable();
    const { findings, report } = await this.#maintain('auditing', settings, (context, signalled) =>
      auditLocal(context, signalled),
    );
    for (const finding of findings) {
      this.assertOpen();
      yield finding;
    }
    return report;
  }

  async backup(folder: string, options: BackupOptions = {}): Promise<BackupReport> {
    return this.#maintain('backing up', options, ({ folder: store, clock }, signalled) =>
      backUp(store, this.#database, folder, signalled, clock()),
    );
  }

  async usage({ signal }: AbortOptions = {}): Promise<Usage> {
    this.assertOpen();
    throwIfAborted(signal);
    return this.#tracked('measuring', () => {
      this.#folder.assertInPlace();
      // So that what the store is said to take is what it takes once it is closed.
      if (this.capabilities.writable) this.#database.foldLog();
      return this.#snapshot(() => localUsage(this.#folder, this.#index));
    });
  }

  survey(options: AbortOptions = {}): AsyncIterable<ManifestSurvey> {
    return whileOpen(this, this.#survey(options));
  }

  async *#survey(options: AbortOptions): AsyncGenerator<ManifestSurvey, void, undefined> {
    let keys: ManifestKey[] = [];
    const flush = async () => {
      const surveys = await this.#each(keys, options, (key) => surveyManifest(this.#index, key));
      keys = [];
      return surveys.filter((survey) => survey !== undefined);
    };
    for (const kind of MANIFEST_KINDS) {
      for await (const { key } of this.list(kind, {}, options)) {
        if (keys.push(key) === TURN_ITEMS) yield* await flush();
      }
      yield* await flush();
    }
  }

  async health({ signal }: AbortOptions = {}): Promise<Health> {
    this.assertOpen();
    throwIfAborted(signal);
    return healthBy(async () => {
      try {
        this.#folder.assertInPlace();
        if (this.capabilities.writable) {
          for (const path of [this.#folder.root, this.#folder.packs])
            accessSync(path, constants.R_OK | constants.W_OK);
        }
      } catch (cause) {
        throw toVarveError(cause, `looking at the store at ${this.#folder.root}`);
      }
      // Reads what every transaction reads first.
      this.#snapshot(() => {});
    });
  }

  async lease(name: string, ttlMs: number, options: AbortOptions = {}): Promise<Lease | undefined> {
    this.#assertWritable();
    throwIfAborted(options.signal);
    const lease = await this.#tracked('taking a lease on', () =>
      acquireLease(this.#database, this.#clock, name, ttlMs, options),
    );
    if (lease === undefined) return undefined;
    const keep = <Result>(doing: string, work: () => Promise<Result>) => {
      this.assertOpen();
      return this.#tracked(doing, work);
    };
    return {
      renew: async (...parameters) => keep('renewing a lease on', () => lease.renew(...parameters)),
      release: async () => keep('releasing a lease on', () => lease.release()),
    };
  }

  /** A second call waits for the first, and does nothing. */
  async close(): Promise<void> {
    if (this.#closing !== undefined) return this.#closing.catch(() => undefined);
    this.#closing = this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#ending.abort();
    await Promise.allSettled(this.#running);
    await this.#queue.idle();
    try {
      if (this.capabilities.writable) await this.#owner.release();
    } catch (cause) {
      const error = toVarveError(cause, `closing the store at ${this.#root}`);
      // What could not be noted on a full disk, say, the next process notes: everything
      // acknowledged is stored.
      if (error.code === 'INTERNAL') throw error;
    } finally {
      this.#packs.closeAll();
      this.#database.close();
      this.#folder.close();
    }
  }

  #commit(writes: readonly LocalWrite[], signal: AbortSignal | undefined): Promise<WriteOutcome[]> {
    this.assertOpen();
    throwIfAborted(signal);
    return this.#queue.commit(writes, signal);
  }

  #place(locator: Locator): RecordPlace {
    const record = typeof locator === 'number' ? locator : Number.NaN;
    const place = this.#index.records.locate(SEGMENTS, record);
    if (place === undefined || this.#index.ledger.count(SEGMENTS, record) === SWEPT) {
      throw new VarveError('NOT_FOUND', `segment record ${record} is not stored any more`);
    }
    return place;
  }

  /** Maps items in snapshots of a few each, so that a long request does not hold up others. */
  async #each<Item, Result>(
    items: readonly Item[],
    { signal }: AbortOptions,
    map: (item: Item) => Result,
  ): Promise<Result[]> {
    const results: Result[] = [];
    for (let start = 0; start < items.length || start === 0; start += TURN_ITEMS) {
      if (start > 0) await nextTurn();
      throwIfAborted(signal);
      results.push(...this.#snapshot(() => items.slice(start, start + TURN_ITEMS).map(map)));
    }
    return results;
  }

  /**
   * Runs `work` in one snapshot of the index; again in a new one when a pack was rewritten
   * meanwhile.
   */
  #snapshot<Result>(work: () => Result): Result {
    this.assertOpen();
    let vanished: number | undefined;
    for (let attempt = 0; ; attempt++) {
      try {
        return this.#database.snapshot(() => {
          this.#index.refresh();
          return work();
        });
      } catch (cause) {
        if (!(cause instanceof PackVanished))
          throw toVarveError(cause, `reading the store at ${this.#root}`);
        if (cause.pack === vanished || attempt === SNAPSHOT_ATTEMPTS) throw cause;
        vanished = cause.pack;
      }
    }
  }

  #maintenance(signal: AbortSignal | undefined): MaintenanceContext {
    return {
      root: this.#root,
      folder: this.#folder,
      index: this.#index,
      packs: this.#packs,
      owner: this.#owner,
      tuning: this.#tuning,
      clock: this.#clock,
      commit: (writes) => this.#commit(writes, signal),
    };
  }

  /** Runs a collection or an audit, until it ends, is aborted, or the store is closed. */
  async #maintain<Options extends AbortOptions, Result>(
    doing: string,
    options: Options,
    work: (context: MaintenanceContext, options: Options) => Promise<Result>,
  ): Promise<Result> {
    this.assertOpen();
    throwIfAborted(options.signal);
    const signal = AbortSignal.any([
      this.#ending.signal,
      ...(options.signal === undefined ? [] : [options.signal]),
    ]);
    try {
      return await this.#tracked(doing, () => {
        this.#folder.assertInPlace();
        return work(this.#maintenance(signal), { ...options, signal });
      });
    } catch (error) {
      if (isVarveError(error, 'ABORTED')) this.assertOpen();
      throw error;
    }
  }

  /** Runs `work`, for which closing waits; its errors are turned into those of the store. */
  async #tracked<Result>(doing: string, work: () => Result | Promise<Result>): Promise<Result> {
    const running = (async () => work())();
    this.#running.add(running);
    try {
      return await running;
    } catch (cause) {
      throw toVarveError(cause, `${doing} the store at ${this.#root}`);
    } finally {
      this.#running.delete(running);
    }
  }

  assertOpen(): void {
    if (this.#closing !== undefined) throw new VarveError('CLOSED', 'the store was closed');
  }

  #assertWritable(): void {
    this.assertOpen();
    if (!this.capabilities.writable) {
      throw new VarveError('READ_ONLY', `the store at ${this.#root} was opened read-only`);
    }
  }
}
