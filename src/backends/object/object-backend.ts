import pLimit from 'p-limit';
import { type AbortOptions, abortOf, throwIfAborted } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import { mapAll } from '../../core/concurrency.ts';
import { isVarveError } from '../../core/errors.ts';
import type { RequestMetrics } from '../../core/request-metrics.ts';
import { SystemClock, SystemRandomness } from '../../core/system/system-clock.ts';
import {
  AUDIT_OPTIONS,
  type AuditOptions,
  type AuditReport,
  type Finding,
} from '../contract/audit.ts';
import type { Backend, BackendCapabilities, Health } from '../contract/backend.ts';
import {
  type CollectOptions,
  type CollectReport,
  readCollectOptions,
} from '../contract/collection.ts';
import { healthBy } from '../contract/health.ts';
import { Lifecycle } from '../contract/lifecycle.ts';
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
import type { UpgradeReport } from '../contract/upgrade.ts';
import type { CountedUsage, ManifestSurvey, Usage } from '../contract/usage.ts';
import { whileOpen } from '../contract/while-open.ts';
import { commitTaken, type PublishWrite, publishTaken } from '../contract/write-intake.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { RequestMeter } from '../storage/request-meter.ts';
import { ServerClock } from '../storage/server-clock.ts';
import { auditObjects } from './audit/audit.ts';
import { type CallScope, Calls, StoreMemory } from './call-scope.ts';
import { collectObjects } from './collect/collect.ts';
import type { CollectContext } from './collect/collect-run.ts';
import { DESCRIPTOR_FORMAT } from './format/descriptor.ts';
import { headOfRecord } from './format/manifest-record.ts';
import {
  completeOptions,
  type ObjectBackendOptions,
  type ObjectComponents,
} from './object-options.ts';
import { lastUsage, recount } from './operations/counted-usage.ts';
import { assertSame } from './operations/identity.ts';
import { acquireLease } from './operations/named-lease.ts';
import { ObjectReportLog } from './operations/report-log.ts';
import { surveyObjects } from './operations/survey.ts';
import { upgradeObjects } from './operations/upgrade.ts';
import { usageOf } from './operations/usage.ts';
import { readManifest } from './segments/manifest-reading.ts';

/**
 * Requests under way are far fewer, and what waits for its turn takes memory, and time of the call.
 */
const WRITES_TOGETHER = 1024;

/** A store on an object storage service: docs/protocol.md has its steps and invariants. */
export class ObjectBackend implements Backend {
  readonly capabilities: BackendCapabilities;
  readonly location: string;
  readonly identity: string | undefined;
  readonly format: number;
  readonly reports: ReportLog;
  readonly #store: ObjectStore;
  readonly #calls: Calls;
  readonly #meter: RequestMeter;
  readonly #lifecycle: Lifecycle;

  constructor(
    store: ObjectStore,
    options: ObjectBackendOptions = {},
    components: ObjectComponents = {},
  ) {
    const settings = completeOptions(options);
    const { readOnly, inlineBelow, concurrency, cacheBytes, signal } = settings;
    const { clock = new SystemClock(), randomness = new SystemRandomness() } = components;
    this.location = store.location;
    this.identity = components.identity;
    this.format = components.format ?? DESCRIPTOR_FORMAT;
    this.capabilities = {
      writable: !readOnly,
      multiMachine: true,
      countsReferencesOf: 'manifests',
      inlineBelow,
      writesTogether: WRITES_TOGETHER,
    };
    this.#store = store;
    this.#meter = components.meter ?? new RequestMeter();
    this.#calls = new Calls(
      store,
      {
        turns: pLimit(concurrency),
        watch: components.watch,
        retries: components.retries,
        meter: components.meter === undefined ? this.#meter : undefined,
      },
      { clock, serverClock: new ServerClock(clock), randomness, settings },
      new StoreMemory(randomness, cacheBytes, components.heads ?? 'none'),
      !readOnly,
    );
    this.#lifecycle = new Lifecycle(store.location, !readOnly, signal);
    this.reports = {
      // Without the signal of the store: what that signal ended is reported, too.
      add: (report, options = {}) =>
        this.#lifecycle.run(() => {
          this.#lifecycle.assertWritable();
          throwIfAborted(options.signal);
          return new ObjectReportLog(this.#lastWords().protocol).add(report, options);
        }),
      list: async (options = {}) => new ObjectReportLog(this.#long(options).protocol).list(options),
    };
  }

  commit(writes: readonly ManifestWrite[], options: AbortOptions = {}): Promise<WriteOutcome[]> {
    return this.#lifecycle.run(() => {
      this.#lifecycle.assertWritable();
      return commitTaken(writes, (taken) => this.#short(options).writer.commit(taken));
    });
  }

  publish(
    write: PublishWrite,
    entries: AsyncIterable<NewEntry>,
    fields: () => ManifestFields,
    options: AbortOptions = {},
  ): Promise<WriteOutcome> {
    return this.#lifecycle.run(() => {
      this.#lifecycle.assertWritable();
      return publishTaken(write, entries, fields, (...taken) =>
        this.#long(options).writer.publish(...taken),
      );
    });
  }

  async read(
    keys: readonly ManifestKey[],
    options: ReadManifestOptions = {},
  ): Promise<(StoredManifest | undefined)[]> {
    const { protocol, reader } = this.#short(options);
    return mapAll(takeKeys(keys), (key) => readManifest(protocol, reader, key, options.entries));
  }

  async heads(
    keys: readonly ManifestKey[],
    options: AbortOptions = {},
  ): Promise<(ManifestHead | undefined)[]> {
    const { protocol } = this.#short(options);
    return mapAll(takeKeys(keys), async (key) => {
      const { record } = await protocol.manifests.read(key);
      return record?.current && headOfRecord(record.key, record.current);
    });
  }

  async *list(
    kind: ManifestKind,
    filter: ListFilter = {},
    options: AbortOptions = {},
  ): AsyncIterable<ManifestHead> {
    const taken = takeFilter(kind, filter);
    const { lists } = this.#long(options);
    for await (const head of lists.list(kind, taken)) {
      this.assertOpen();
      yield head;
    }
  }

  async fetch(locators: readonly Locator[], options: AbortOptions = {}): Promise<Uint8Array[]> {
    return this.#short(options).reader.fetch(takeLocators(locators));
  }

  async describe(
    locators: readonly Locator[],
    options: AbortOptions = {},
  ): Promise<SegmentDescription[]> {
    return this.#short(options).reader.describe(takeLocators(locators));
  }

  async addresses(locators: readonly Locator[], options: AbortOptions = {}): Promise<Address[]> {
    const { reader } = this.#short(options);
    return takeLocators(locators).map((locator) => reader.addressOf(locator));
  }

  async find(
    addresses: readonly Address[],
    options: AbortOptions = {},
  ): Promise<(Locator | undefined)[]> {
    return this.#short(options).reader.find(takeAddresses(addresses));
  }

  async collect(options?: CollectOptions): Promise<CollectReport> {
    return this.#lifecycle.run(async () => {
      const settings = readCollectOptions(options);
      if (!settings.dryRun) this.#lifecycle.assertWritable();
      const scope = this.#calls.long(this.#lifecycle.beginLong(settings));
      return collectObjects(this.#maintenance(scope), within(scope, settings));
    });
  }

  async *audit(options?: AuditOptions): AsyncGenerator<Finding, AuditReport, undefined> {
    const settings = AUDIT_OPTIONS.read('audit', options);
    if (settings.repair) this.#lifecycle.assertWritable();
    const scope = this.#calls.long(this.#lifecycle.beginLong(settings));
    try {
      return yield* whileOpen(
        this,
        auditObjects(this.#maintenance(scope), within(scope, settings)),
      );
    } finally {
      scope.damage.forget();
    }
  }

  async usage(options: AbortOptions = {}): Promise<Usage> {
    const { protocol, lists } = this.#long(options);
    return usageOf(protocol, lists, options);
  }

  async lastUsage(options: AbortOptions = {}): Promise<CountedUsage | undefined> {
    return lastUsage(this.#short(options).protocol, options);
  }

  recount(options: AbortOptions = {}): Promise<void> {
    return this.#lifecycle.run(() => {
      this.#lifecycle.assertWritable();
      const { protocol, lists } = this.#long(options);
      return recount(protocol, lists, options);
    });
  }

  async health(options: AbortOptions = {}): Promise<Health> {
    const { protocol } = this.#short(options);
    return healthBy(() => assertSame(protocol.store, this.identity));
  }

  metrics(): RequestMetrics {
    return this.#meter.metrics();
  }

  async *survey(options: AbortOptions = {}): AsyncIterable<ManifestSurvey> {
    yield* whileOpen(this, surveyObjects(this.#long(options).protocol, options));
  }

  lease(name: string, ttlMs: number, options: AbortOptions = {}): Promise<Lease | undefined> {
    return this.#lifecycle.run(() => {
      this.#lifecycle.assertWritable();
      throwIfAborted(options.signal);
      // The holder of a lease uses it later, in calls of their own.
      return acquireLease(this.#long({}).protocol, name, ttlMs, options);
    });
  }

  upgrade(options: AbortOptions = {}): Promise<UpgradeReport> {
    return this.#lifecycle.run(() => {
      this.#lifecycle.assertWritable();
      const { protocol, heads, index } = this.#calls.long(this.#lifecycle.beginLong(options));
      return upgradeObjects(protocol, heads, index, abortOf(protocol.call.signal));
    });
  }

  assertOpen(): void {
    this.#lifecycle.assertOpen();
  }

  close(): Promise<void> {
    return this.#lifecycle.close(() => this.#close());
  }

  async #close(): Promise<void> {
    const { index, heads, hints } = this.#lastWords();
    try {
      if (this.capabilities.writable) {
        await index.flush(true);
        await heads.flush(true);
        await hints.close();
      }
    } catch (error) {
      // What is left is a mark that a collection removes.
      if (!isVarveError(error)) throw error;
    } finally {
      await this.#store.close();
    }
  }

  #maintenance({ protocol, taker, hints, index, heads, lists, reader }: CallScope): CollectContext {
    const abort = abortOf(protocol.call.signal);
    return {
      protocol,
      taker,
      hints,
      index,
      heads,
      lists,
      forget: (address) => reader.forget(address),
      remove: (writes) => this.commit(writes, abort),
    };
  }

  /** Begins a call that has to end within the time for one. */
  #short(options: AbortOptions): CallScope {
    return this.#calls.short(this.#lifecycle.begin(options));
  }

  /** Begins work of many steps. */
  #long(options: AbortOptions): CallScope {
    return this.#calls.long(this.#lifecycle.begin(options));
  }

  #lastWords(): CallScope {
    return this.#calls.lastWords(this.#lifecycle.isAborted);
  }
}

/** The options with the signal that the work obeys. */
function within<Options extends AbortOptions>({ protocol }: CallScope, options: Options): Options {
  return { ...options, ...abortOf(protocol.call.signal) };
}
