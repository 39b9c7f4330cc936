import { setMaxListeners } from 'node:events';
import type { Address } from '../../address.ts';
import { isVarveError, throwIfAborted, VarveError } from '../../errors.ts';
import type { Backend, BackendCapabilities, RequestMetrics } from '../backend.ts';
import type {
  AuditOptions,
  AuditReport,
  CollectOptions,
  CollectReport,
  Finding,
  Lease,
  ManifestSurvey,
  ReportLog,
  Usage,
} from '../maintenance.ts';
import { checkAuditOptions, checkCollectOptions } from '../maintenance-validation.ts';
import type {
  AbortOptions,
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
} from '../manifests.ts';
import { takeAddresses, takeFilter, takeKeys, takeLocators } from '../read-validation.ts';
import { commitTaken, type PublishWrite, publishTaken } from '../write-intake.ts';
import { ObjectAudit } from './audit.ts';
import type { Clock, Randomness } from './clock.ts';
import { type CollectContext, Collection } from './collect.ts';
import { DamageNotes } from './damage-notes.ts';
import { DEFAULT_SETTINGS, type Foundation, type ProtocolSettings } from './foundation.ts';
import { Hints } from './hints.ts';
import { LimitedStore } from './limited-store.ts';
import { ListIndex } from './list-index.ts';
import { ordered } from './list-order.ts';
import { headOfRecord } from './manifest-record.ts';
import { ManifestTable } from './manifest-table.ts';
import { MeteredStore } from './metered-store.ts';
import { acquireLease } from './named-lease.ts';
import type { ObjectStore } from './object-store.ts';
import { ObjectWriter } from './object-writer.ts';
import { abortOf, forEach, type Protocol } from './protocol.ts';
import { ObjectReportLog } from './report-log.ts';
import { RequestMeter } from './request-meter.ts';
import { SegmentReader } from './segment-reader.ts';
import { SegmentTaker } from './segment-taker.ts';
import { ServerClock } from './server-clock.ts';
import { SidecarTable } from './sidecar-table.ts';
import { surveyObjects } from './survey.ts';
import { SystemClock, SystemRandomness } from './system-clock.ts';
import { usageOf } from './usage.ts';

export interface ObjectBackendOptions extends Partial<ProtocolSettings> {
  /** Never write. Default: false. */
  readonly readOnly?: boolean;
  /** Parts of messages shorter than this many bytes live in the manifest. Default: 4,096. */
  readonly inlineBelow?: number;
  /** Most requests under way at once. Default: 32. */
  readonly concurrency?: number;
  /** Segments kept in memory for the next reader, in bytes. Default: 64 MiB. */
  readonly cacheBytes?: number;
}

export interface ObjectComponents {
  readonly clock?: Clock;
  readonly randomness?: Randomness;
  /** Counts the requests that the objects send. Default: the calls are counted. */
  readonly meter?: RequestMeter;
  /** See `Backend.identity`. */
  readonly identity?: string;
}

/** A store on an object storage service: see ARCHITECTURE.md for objects, steps and invariants. */
export class ObjectBackend implements Backend {
  readonly capabilities: BackendCapabilities;
  readonly location: string;
  readonly identity: string | undefined;
  readonly reports: ReportLog;
  readonly #protocol: Protocol;
  readonly #meter: RequestMeter;
  readonly #taker: SegmentTaker;
  readonly #reader: SegmentReader;
  readonly #hints: Hints;
  readonly #index: ListIndex;
  readonly #damage: DamageNotes;
  readonly #writer: ObjectWriter;
  readonly #working = new Set<Promise<unknown>>();
  readonly #ended = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(store: ObjectStore, options: ObjectBackendOptions = {}, components: ObjectComponents = {}) {
    const { readOnly = false, inlineBelow = 4096, concurrency = 32, cacheBytes = 64 * 1024 * 1024 } = options;
    const { clock = new SystemClock(), randomness = new SystemRandomness() } = components;
    const settings: ProtocolSettings = {
      leaseMs: options.leaseMs ?? DEFAULT_SETTINGS.leaseMs,
      timeoutMs: options.timeoutMs ?? DEFAULT_SETTINGS.timeoutMs,
      compressionLevel: options.compressionLevel ?? DEFAULT_SETTINGS.compressionLevel,
      spillAbove: options.spillAbove ?? DEFAULT_SETTINGS.spillAbove,
      scannedReferences: options.scannedReferences ?? DEFAULT_SETTINGS.scannedReferences,
    };
    this.#meter = components.meter ?? new RequestMeter();
    const metered = components.meter === undefined ? new MeteredStore(store, this.#meter) : store;
    const limited = new LimitedStore(metered, concurrency);
    this.location = store.location;
    this.identity = components.identity;
    this.capabilities = { writable: !readOnly, multiMachine: true, countsReferencesOf: 'manifests', inlineBelow };
    const foundation: Foundation = { store: limited, clock, serverClock: new ServerClock(clock), randomness, settings };
    this.#protocol = {
      ...foundation,
      sidecars: new SidecarTable(foundation),
      manifests: new ManifestTable(foundation),
    };
    const reports = new ObjectReportLog(this.#protocol);
    this.reports = {
      add: (report, options) =>
        this.#work(() => {
          this.#assertWritable();
          return reports.add(report, options);
        }),
      list: async (options) => {
        return reports.list(this.#begin(options ?? {}));
      },
    };
    this.#taker = new SegmentTaker(this.#protocol);
    this.#reader = new SegmentReader(this.#protocol, cacheBytes);
    this.#hints = new Hints(limited, clock, randomness);
    this.#index = new ListIndex(this.#protocol, !readOnly);
    this.#damage = new DamageNotes(this.#protocol);
    this.#writer = new ObjectWriter(this.#protocol, this.#taker, this.#hints, this.#index, this.#damage);
  }

  commit(writes: readonly ManifestWrite[], options: AbortOptions = {}): Promise<WriteOutcome[]> {
    return this.#work(() => {
      this.#assertWritable();
      return commitTaken(writes, (taken) => this.#writer.commit(taken, options));
    });
  }

  publish(
    write: PublishWrite,
    entries: AsyncIterable<NewEntry>,
    fields: () => ManifestFields,
    options: AbortOptions = {},
  ): Promise<WriteOutcome> {
    return this.#work(() => {
      this.#assertWritable();
      return publishTaken(write, entries, fields, (...taken) => this.#writer.publish(...taken, options));
    });
  }

  async read(keys: readonly ManifestKey[], options: ReadManifestOptions = {}): Promise<(StoredManifest | undefined)[]> {
    const begun = this.#begin(options);
    return forEach(takeKeys(keys), (key) => this.#read(key, begun));
  }

  async heads(keys: readonly ManifestKey[], options: AbortOptions = {}): Promise<(ManifestHead | undefined)[]> {
    const { signal } = this.#begin(options);
    return forEach(takeKeys(keys), async (key) => {
      const { record } = await this.#protocol.manifests.read(key, abortOf(signal));
      return record?.current && headOfRecord(record.key, record.current);
    });
  }

  async *list(kind: ManifestKind, filter: ListFilter = {}, options: AbortOptions = {}): AsyncIterable<ManifestHead> {
    const taken = takeFilter(kind, filter);
    const { manifests, unreadable } = await this.#index.survey(kind, this.#begin(options));
    for (const { archived: _, ...head } of ordered(manifests, taken)) {
      this.#assertOpen(options);
      yield head;
    }
    // Nobody may take what cannot be read for deleted.
    for (const error of unreadable) throw error;
  }

  async fetch(locators: readonly Locator[], options: AbortOptions = {}): Promise<Uint8Array[]> {
    return this.#reader.fetch(takeLocators(locators), this.#begin(options));
  }

  async describe(locators: readonly Locator[], options: AbortOptions = {}): Promise<SegmentDescription[]> {
    this.#assertOpen(options);
    return this.#reader.describe(takeLocators(locators));
  }

  async addresses(locators: readonly Locator[], options: AbortOptions = {}): Promise<Address[]> {
    this.#assertOpen(options);
    return takeLocators(locators).map((locator) => this.#reader.addressOf(locator));
  }

  async find(addresses: readonly Address[], options: AbortOptions = {}): Promise<(Locator | undefined)[]> {
    this.#assertOpen(options);
    return this.#reader.find(takeAddresses(addresses));
  }

  async collect(options: CollectOptions = {}): Promise<CollectReport> {
    return this.#work(async () => {
      checkCollectOptions(options);
      if (options.dryRun !== true) this.#assertWritable();
      return new Collection(this.#maintenance(), this.#beginLong(options)).run();
    });
  }

  async *audit(options: AuditOptions = {}): AsyncGenerator<Finding, AuditReport, undefined> {
    checkAuditOptions(options);
    if (options.repair === true) this.#assertWritable();
    try {
      return yield* new ObjectAudit(this.#maintenance(), this.#beginLong(options)).run();
    } finally {
      this.#damage.forget();
    }
  }

  async usage(options: AbortOptions = {}): Promise<Usage> {
    return usageOf(this.#protocol, this.#index, this.#begin(options));
  }

  metrics(): RequestMetrics {
    return this.#meter.metrics();
  }

  async *survey(options: AbortOptions = {}): AsyncIterable<ManifestSurvey> {
    yield* surveyObjects(this.#protocol, this.#begin(options));
  }

  lease(name: string, ttlMs: number, options: AbortOptions = {}): Promise<Lease | undefined> {
    return this.#work(() => {
      this.#assertWritable();
      return acquireLease(this.#protocol, name, ttlMs, options);
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#ended.abort(new VarveError('CLOSED', 'the store was closed'));
    await Promise.allSettled(this.#working);
    try {
      if (this.capabilities.writable) {
        await this.#index.flush(true);
        await this.#hints.close();
      }
    } catch (error) {
      // What is left is a mark that a collection removes.
      if (!isVarveError(error)) throw error;
    } finally {
      await this.#protocol.store.close();
    }
  }

  async #read(key: ManifestKey, { entries = 'all', signal }: ReadManifestOptions): Promise<StoredManifest | undefined> {
    for (;;) {
      const { record, etag } = await this.#protocol.manifests.read(key, abortOf(signal));
      const current = record?.current;
      if (current === undefined) return undefined;
      try {
        const wanted = entries === 'newest' ? current.entries.slice(-1) : current.entries;
        const bodies = await this.#reader.bodies(wanted, current.holds, abortOf(signal));
        return {
          ...headOfRecord(key, current),
          entries: wanted.map(({ segments }, at) => ({
            body: bodies[at] as Uint8Array,
            segments: segments.map((address) => this.#reader.locate(address, current.holds)),
          })),
        };
      } catch (error) {
        if (!isVarveError(error, 'NOT_FOUND')) throw error;
        // Rule 12: a spilled body is gone because the manifest has changed, or it is lost.
        const now = await this.#protocol.manifests.read(key, abortOf(signal));
        if (now.etag === etag) throw new VarveError('CORRUPT', error.message, { cause: error });
      }
    }
  }

  #maintenance(): CollectContext {
    return {
      protocol: this.#protocol,
      taker: this.#taker,
      hints: this.#hints,
      index: this.#index,
      forget: (address) => this.#reader.forget(address),
      remove: (writes) => this.commit(writes),
    };
  }

  /** Checks that the store is open, and makes the caller's signal one that hundreds of requests may listen to. */
  #begin<Options extends AbortOptions>(options: Options): Options {
    this.#assertOpen(options);
    return options.signal === undefined ? options : { ...options, signal: joined([options.signal]) };
  }

  /** The same for long work, which closing the store ends. */
  #beginLong<Options extends AbortOptions>(options: Options): Options {
    this.#assertOpen(options);
    const signals = [this.#ended.signal, ...(options.signal === undefined ? [] : [options.signal])];
    return { ...options, signal: joined(signals) };
  }

  /** Keeps track of what has to end before the store may close. */
  async #work<Result>(work: () => Promise<Result>): Promise<Result> {
    const working = work();
    this.#working.add(working);
    try {
      return await working;
    } finally {
      this.#working.delete(working);
    }
  }

  #assertOpen({ signal }: AbortOptions = {}): void {
    if (this.#closing !== undefined) throw new VarveError('CLOSED', 'the store was closed');
    throwIfAborted(signal);
  }

  #assertWritable(): void {
    this.#assertOpen();
    if (!this.capabilities.writable) {
      throw new VarveError('READ_ONLY', `the store at ${this.location} was opened read-only`);
    }
  }
}

function joined(signals: AbortSignal[]): AbortSignal {
  const signal = AbortSignal.any(signals);
  setMaxListeners(0, signal);
  return signal;
}
