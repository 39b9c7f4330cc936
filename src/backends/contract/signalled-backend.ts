import { setMaxListeners } from 'node:events';
import { type AbortOptions, throwIfAborted } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import type { RequestMetrics } from '../../core/request-metrics.ts';
import type { Backend, BackendCapabilities, Health } from './backend.ts';
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
  ReadManifestOptions,
  SegmentDescription,
  StoredManifest,
  WriteOutcome,
} from './manifests.ts';
import type { PublishWrite } from './write-intake.ts';

/**
 * A backend whose calls all end when a signal fires, whatever signals of their own they are given.
 * What is to be said at the end can still be said: reports, the end of a lease, closing.
 */
export class SignalledBackend implements Backend {
  readonly capabilities: BackendCapabilities;
  readonly location: string;
  readonly identity?: string | undefined;
  readonly reports: ReportLog;
  readonly metrics?: () => RequestMetrics;
  readonly backup?: (folder: string, options?: BackupOptions) => Promise<BackupReport>;
  readonly #backend: Backend;
  readonly #signal: AbortSignal;

  constructor(backend: Backend, signal: AbortSignal) {
    this.#backend = backend;
    this.#signal = signal;
    this.capabilities = backend.capabilities;
    this.location = backend.location;
    this.identity = backend.identity;
    this.reports = {
      add: (report, options) => backend.reports.add(report, options),
      list: async (options) => backend.reports.list(this.#bound(options)),
    };
    if (backend.metrics !== undefined)
      this.metrics = () => (backend.metrics as () => RequestMetrics)();
    if (backend.backup !== undefined) {
      this.backup = async (folder, options) =>
        (backend.backup as NonNullable<Backend['backup']>)(folder, this.#bound(options));
    }
  }

  assertOpen(): void {
    this.#backend.assertOpen();
  }

  async commit(writes: readonly ManifestWrite[], options?: AbortOptions): Promise<WriteOutcome[]> {
    return this.#backend.commit(writes, this.#bound(options));
  }

  async publish(
    write: PublishWrite,
    entries: AsyncIterable<NewEntry>,
    fields: () => ManifestFields,
    options?: AbortOptions,
  ): Promise<WriteOutcome> {
    return this.#backend.publish(write, entries, fields, this.#bound(options));
  }

  async read(
    keys: readonly ManifestKey[],
    options?: ReadManifestOptions,
  ): Promise<(StoredManifest | undefined)[]> {
    return this.#backend.read(keys, this.#bound(options));
  }

  async heads(
    keys: readonly ManifestKey[],
    options?: AbortOptions,
  ): Promise<(ManifestHead | undefined)[]> {
    return this.#backend.heads(keys, this.#bound(options));
  }

  async *list(
    kind: ManifestKind,
    filter?: ListFilter,
    options?: AbortOptions,
  ): AsyncIterable<ManifestHead> {
    yield* this.#backend.list(kind, filter, this.#bound(options));
  }

  async fetch(locators: readonly Locator[], options?: AbortOptions): Promise<Uint8Array[]> {
    return this.#backend.fetch(locators, this.#bound(options));
  }

  async describe(
    locators: readonly Locator[],
    options?: AbortOptions,
  ): Promise<SegmentDescription[]> {
    return this.#backend.describe(locators, this.#bound(options));
  }

  async addresses(locators: readonly Locator[], options?: AbortOptions): Promise<Address[]> {
    return this.#backend.addresses(locators, this.#bound(options));
  }

  async find(
    addresses: readonly Address[],
    options?: AbortOptions,
  ): Promise<(Locator | undefined)[]> {
    return this.#backend.find(addresses, this.#bound(options));
  }

  async collect(options?: CollectOptions): Promise<CollectReport> {
    return this.#backend.collect(this.#bound(options));
  }

  async *audit(options?: AuditOptions): AsyncGenerator<Finding, AuditReport, undefined> {
    return yield* this.#backend.audit(this.#bound(options));
  }

  async usage(options?: AbortOptions): Promise<Usage> {
    return this.#backend.usage(this.#bound(options));
  }

  async *survey(options?: AbortOptions): AsyncIterable<ManifestSurvey> {
    yield* this.#backend.survey(this.#bound(options));
  }

  async lease(name: string, ttlMs: number, options?: AbortOptions): Promise<Lease | undefined> {
    return this.#backend.lease(name, ttlMs, this.#bound(options));
  }

  async health(options?: AbortOptions): Promise<Health> {
    return this.#backend.health(this.#bound(options));
  }

  close(): Promise<void> {
    return this.#backend.close();
  }

  #bound<Options extends AbortOptions>(options: Options = {} as Options): Options {
    throwIfAborted(this.#signal);
    if (options.signal === undefined) return { ...options, signal: this.#signal };
    const signal = AbortSignal.any([this.#signal, options.signal]);
    setMaxListeners(0, signal);
    return { ...options, signal };
  }
}
