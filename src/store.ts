import { resolve } from 'node:path';
import type { AuditReport, Finding } from './backends/contract/audit.ts';
import type { Backend, Health } from './backends/contract/backend.ts';
import {
  BACKUP_OPTIONS,
  type BackupOptions,
  type BackupReport,
} from './backends/contract/backup.ts';
import { ABORT_OPTIONS } from './backends/contract/manifests.ts';
import type { UpgradeReport } from './backends/contract/upgrade.ts';
import type { CountedUsage, Usage } from './backends/contract/usage.ts';
import type { S3Config } from './backends/storage/s3/s3-location.ts';
import { Segments } from './cas/segments.ts';
import { type AbortOptions, throwIfAborted } from './core/abort.ts';
import type { ByteSource } from './core/byte-source.ts';
import { type OnEvent, safely } from './core/events.ts';
import type { RequestMetrics } from './core/request-metrics.ts';
import { Work } from './core/work.ts';
import { auditStore, STORE_AUDIT_OPTIONS, type StoreAuditOptions } from './gc/audit/store-audit.ts';
import { type ErasureReport, eraseConversations } from './gc/erasure/erasure.ts';
import { type ErasureOptions, GarbageCollection } from './gc/garbage-collection.ts';
import { backUp } from './gc/replication/backup.ts';
import { Prune } from './gc/retention/prune.ts';
import { RunLog } from './gc/run-log.ts';
import {
  breakDownUsage,
  type UsageBreakdown,
  type UsageBreakdownOptions,
} from './gc/usage/usage-breakdown.ts';
import { pathOf, readLocation } from './location.ts';
import { Blobs } from './manifest/blobs/blobs.ts';
import { Conversations } from './manifest/conversations/conversations.ts';
import { type ExportOptions, exportJsonl } from './manifest/transfer/export.ts';
import { type ImportOptions, type ImportReport, importJsonl } from './manifest/transfer/import.ts';
import { openBackend, openDirectory } from './open.ts';
import { OPEN_OPTIONS, type OpenOptions } from './open-options.ts';

/**
 * Opens the store at a location: a path, a `file:` URL,
 * `s3://bucket/prefix?region=…&endpoint=…&pathStyle=true` or the same as an object, or `memory:`
 * for one that ends with the process (`memory:name` is the same one for all who name it).
 *
 * ```ts
 * const store = await openStore('./archive');
 * const messages = [{ role: 'user', content: 'Hello' }];
 * await store.conversations.put({ id: 'c1', model: 'm', messages });
 * await store.close();
 * ```
 *
 * @throws `NOT_FOUND` when there is none and it may not be created; `INVALID_ARGUMENT` for a
 * location or option that is invalid; `UNSUPPORTED_FORMAT` when a newer Varve wrote it; `CORRUPT`,
 * `DENIED`, `READ_ONLY`, `IO`.
 */
export async function openStore(
  location: string | URL | S3Config,
  options?: OpenOptions,
): Promise<Store> {
  const place = readLocation(location);
  const given = OPEN_OPTIONS.read('openStore', options);
  throwIfAborted(given.signal);
  const onEvent = given.onEvent && safely(given.onEvent);
  const backend = await new Work('open', onEvent).run(
    () => openBackend(place, { ...given, onEvent }),
    (opened) => ({ location: opened.location }),
  );
  return new Store(backend, onEvent);
}

/** An open store. Close it when done: that folds its write-ahead log in. */
export class Store implements AsyncDisposable {
  /** Where everything is kept, for what the interfaces above it do not offer. */
  readonly backend: Backend;
  /** The conversations of the store, and holds on them. */
  readonly conversations: Conversations;
  /** Byte strings of an application, under their address, held by pins. */
  readonly segments: Segments;
  /** Named byte streams of any size. */
  readonly blobs: Blobs;
  /** Collection of what nothing references, once or on a schedule, and reports of past runs. */
  readonly gc: GarbageCollection;
  /** Retention: deletes conversations by age, number, application, model and metadata. */
  readonly prune: Prune;
  readonly #runs: RunLog;
  readonly #onEvent: OnEvent | undefined;

  constructor(backend: Backend, onEvent?: OnEvent) {
    this.backend = backend;
    this.#onEvent = onEvent;
    this.conversations = new Conversations(backend);
    this.segments = new Segments(backend);
    this.blobs = new Blobs(backend);
    this.#runs = new RunLog(backend, onEvent);
    this.gc = new GarbageCollection(backend, this.#runs);
    this.prune = new Prune(backend, this.#runs);
  }

  /** The location without credentials. */
  get location(): string {
    return this.backend.location;
  }

  /**
   * Stores every record of a JSONL stream as a conversation; see {@link ImportOptions} for errors
   * and duplicates.
   *
   * ```ts
   * import { createReadStream } from 'node:fs';
   *
   * const { created, unchanged } = await store.importJsonl(createReadStream('calls.jsonl'));
   * ```
   */
  async importJsonl(source: ByteSource, options?: ImportOptions): Promise<ImportReport> {
    return importJsonl(this.backend, source, options, this.#onEvent);
  }

  /**
   * Conversations as JSONL, byte for byte as they were imported, in the order of archiving or of
   * the ids given.
   *
   * ```ts
   * import { createWriteStream } from 'node:fs';
   * import { pipeline } from 'node:stream/promises';
   *
   * await pipeline(store.exportJsonl(), createWriteStream('calls.jsonl'));
   * ```
   */
  exportJsonl(options?: ExportOptions): AsyncIterable<Uint8Array> {
    return exportJsonl(this.backend, options, this.#onEvent);
  }

  /**
   * Verifies the store against itself: yields findings, returns the totals. Leaves a report, unless
   * opened for reading only.
   *
   * ```ts
   * for await (const { message, harmful } of store.audit({ sample: 0.05 })) {
   *   if (harmful) console.error(message);
   * }
   * ```
   *
   * @throws at the call `INVALID_ARGUMENT`.
   */
  audit(options?: StoreAuditOptions): AsyncGenerator<Finding, AuditReport, undefined> {
    const given = STORE_AUDIT_OPTIONS.read('audit', options);
    return this.#runs.recordEach(
      'audit',
      given,
      (work) => auditStore(this, work.watching(given)),
      ({ kind }) => kind,
    );
  }

  /**
   * Requests to the storage service since the store was opened; `undefined` for a store in a
   * directory.
   *
   * ```ts
   * const { requests, bytesUp } = store.metrics() ?? {};
   * ```
   */
  metrics(): RequestMetrics | undefined {
    return this.backend.metrics?.();
  }

  /**
   * Whether the store can be worked with now: what a readiness probe asks. One cheap read, within
   * `timeoutMs` on objects; nothing is written. On objects the store's descriptor is fetched, in a
   * directory its index is read and the directory looked at.
   *
   * ```ts
   * const { healthy, latencyMs, error } = await store.health();
   * ```
   *
   * @returns also where it is not healthy: then `error` says why.
   * @throws `CLOSED`, `ABORTED`, `INVALID_ARGUMENT`.
   */
  async health(options?: AbortOptions): Promise<Health> {
    return this.backend.health(ABORT_OPTIONS.read('health', options));
  }

  /**
   * What is stored, and what it takes on its medium.
   *
   * ```ts
   * const { storedBytes, garbageBytes } = await store.usage();
   * ```
   */
  async usage(options?: AbortOptions): Promise<Usage> {
    return this.backend.usage(ABORT_OPTIONS.read('usage', options));
  }

  /**
   * What {@link usage} found when it was counted last, for two requests however much is stored. A
   * full collection and an audit count a store of objects; a store in a directory is counted now.
   *
   * ```ts
   * const { countedAt, usage } = (await store.lastUsage()) ?? {};
   * ```
   *
   * @returns `undefined` when nothing has counted it yet.
   */
  async lastUsage(options?: AbortOptions): Promise<CountedUsage | undefined> {
    return this.backend.lastUsage(ABORT_OPTIONS.read('lastUsage', options));
  }

  /**
   * What applications, models or months take, and what deduplication and compression save. Reads
   * every manifest.
   *
   * ```ts
   * const { parts } = await store.usageBreakdown({ by: 'application' });
   * for (const { key, storedBytes } of parts) console.log(key ?? '(none)', storedBytes);
   * ```
   */
  async usageBreakdown(options?: UsageBreakdownOptions): Promise<UsageBreakdown> {
    return breakDownUsage(this.backend, options);
  }

  /**
   * Copies the store into a folder, while it is written to: a directory as it is at one moment, a
   * bucket conversation by conversation, each as it is at one moment. An older backup in the folder
   * is brought up to date. See {@link restoreStore}.
   *
   * ```ts
   * const { copiedBytes } = await store.backup('/mnt/copy');
   * ```
   *
   * @throws `INVALID_ARGUMENT` when the folder holds anything but an older backup of this store;
   *   `BUSY`, `NO_SPACE`, `IO`; `CORRUPT` or `UNSUPPORTED_FORMAT` when a manifest cannot even be
   *   listed, after everything else was copied.
   */
  async backup(folder: string, options?: BackupOptions): Promise<BackupReport> {
    const given = BACKUP_OPTIONS.read('backup', options);
    const path = resolve(pathOf(folder));
    const work = new Work('backup', this.#onEvent);
    return work.run(() => backUp(this.backend, path, openDirectory, work.watching(given)));
  }

  /**
   * Brings a store that an earlier version made to the newest format, while it is used. Stop
   * processes of earlier versions first: they no longer open it. Changes nothing where there is
   * nothing to do.
   *
   * ```ts
   * const { upgraded } = await store.upgrade();
   * ```
   *
   * @throws `BUSY` while another process upgrades it.
   */
  async upgrade(options?: AbortOptions): Promise<UpgradeReport> {
    const abort = ABORT_OPTIONS.read('upgrade', options);
    this.backend.assertOpen();
    return (await this.backend.upgrade?.(abort)) ?? { upgraded: false, changes: [] };
  }

  /**
   * Deletes conversations and does not end before their bytes are gone from the store's files,
   * along with those of everything deleted before. What others reference as well stays, and is
   * listed. Costs in proportion to the store. Copies elsewhere, backups among them, are not
   * reached.
   *
   * ```ts
   * const { absent, held, shared } = await store.eraseConversations(['case-17', 'case-18']);
   * ```
   *
   * @throws `HELD`, `NO_SPACE`, `BUSY` and what else a collection throws; then calling again
   *   continues from there.
   */
  async eraseConversations(
    ids: Iterable<string>,
    options?: ErasureOptions,
  ): Promise<ErasureReport> {
    return eraseConversations(this, ids, options);
  }

  /**
   * Closes the store; everything done with it afterwards fails with `CLOSED`. A second call does
   * nothing.
   *
   * ```ts
   * await store.close();
   * ```
   */
  close(): Promise<void> {
    return this.backend.close();
  }

  /** {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
