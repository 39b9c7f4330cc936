import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Backend, Health } from './backends/contract/backend.ts';
import {
  type AuditOptions,
  type AuditReport,
  auditKinds,
  BACKUP_OPTIONS,
  type BackupOptions,
  type BackupReport,
  type DoctorReport,
  type Finding,
  SALVAGE_OPTIONS,
  type SalvageOptions,
  type SalvageReport,
  type Usage,
} from './backends/contract/maintenance.ts';
import { ABORT_OPTIONS, MANIFEST_KINDS, type ManifestKey } from './backends/contract/manifests.ts';
import { LocalBackend } from './backends/local/local-backend.ts';
import { examine } from './backends/local/operations/doctor.ts';
import { restoreBackup } from './backends/local/operations/restore.ts';
import type { S3Config, S3Credentials } from './backends/storage/s3/s3-location.ts';
import { Segments } from './cas/segments.ts';
import { type AbortOptions, throwIfAborted } from './core/abort.ts';
import { invalid, listOf, reading, shown } from './core/arguments.ts';
import type { ByteSource } from './core/byte-source.ts';
import { isVarveError, VarveError } from './core/errors.ts';
import { type OnEvent, safely } from './core/events.ts';
import type { OptionKinds } from './core/options/option-kinds.ts';
import { declareOptions } from './core/options/options.ts';
import { provideZod } from './core/options/zod-loader.ts';
import type { RequestMetrics } from './core/request-metrics.ts';
import { assertApart } from './core/system/real-path.ts';
import { Work } from './core/work.ts';
import { auditContent } from './gc/deep-audit.ts';
import { contentsOf, type ErasureReport, findShared, remnantsOf } from './gc/erasure.ts';
import {
  ERASURE_OPTIONS,
  type ErasureOptions,
  GarbageCollection,
} from './gc/garbage-collection.ts';
import { prepareReplica, replicaIn } from './gc/replication/replica-folder.ts';
import { Replication } from './gc/replication/replication.ts';
import { Prune } from './gc/retention/prune.ts';
import { RunLog } from './gc/run-log.ts';
import {
  breakDownUsage,
  type UsageBreakdown,
  type UsageBreakdownOptions,
} from './gc/usage/usage-breakdown.ts';
import { Blobs } from './manifest/blobs/blobs.ts';
import { natureOf } from './manifest/body-nature.ts';
import { checkId } from './manifest/content/record.ts';
import { Conversations } from './manifest/conversations/conversations.ts';
import { type ExportOptions, exportJsonl } from './manifest/transfer/export.ts';
import { type ImportOptions, type ImportReport, importJsonl } from './manifest/transfer/import.ts';
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
 *   location or option that cannot be; `UNSUPPORTED_FORMAT` when a newer Varve wrote it; `CORRUPT`,
 *   `DENIED`, `READ_ONLY`, `IO`.
 */
export async function openStore(
  location: string | URL | S3Config,
  options?: OpenOptions,
): Promise<Store> {
  const place = placeOf(location);
  const isObjects = isOfObjects(place);
  // A store of objects needs zod anyway, and one copy of it will do.
  if (isObjects) provideZod((await import('zod')).z);
  const given = OPEN_OPTIONS.read('openStore', options);
  throwIfAborted(given.signal);
  const onEvent = given.onEvent && safely(given.onEvent);
  const open = () =>
    isObjects
      ? openObjectStore(place, { ...given, onEvent })
      : openDirectory(place as string, given);
  const backend = await new Work('open', onEvent).run(open, (opened) => ({
    location: opened.location,
  }));
  return new Store(backend, onEvent);
}

async function openDirectory(location: string, options: OpenOptions): Promise<Backend> {
  refuseOptions(options, 'objects', 'a directory');
  const { create, readOnly, signal, local = {} } = options;
  return LocalBackend.open(pathOf(location), definedOnly({ create, readOnly, signal, ...local }));
}

/** A location, with the settings of one on S3 read once. */
function placeOf(location: string | URL | S3Config): string | S3Config {
  return reading('a location', () => {
    if (typeof location === 'string') return location;
    if (location instanceof URL) return location.href;
    if (typeof location === 'object' && location !== null && !Array.isArray(location))
      return { ...location };
    throw invalid(
      `a location is a path, a URL, or the configuration of a store on S3; not ${shown(location)}`,
    );
  });
}

function isOfObjects(
  location: string | S3Config,
): location is S3Config | `s3:${string}` | `memory:${string}` {
  return (typeof location === 'object' && location !== null) || /^(s3|memory):/i.test(location);
}

/** The SDK takes longer to load than a local store to open, so it is loaded here. */
async function openObjectStore(
  location: string | S3Config,
  options: OpenOptions,
): Promise<Backend> {
  refuseOptions(options, 'local', 'objects');
  const { create, readOnly, onWarning, onEvent, signal, objects = {} } = options;
  const settings = definedOnly({ create, readOnly, onWarning, onEvent, signal, ...objects });
  if (typeof location === 'string' && /^memory:/i.test(location)) {
    const { openMemory } = await import('./backends/object/open-memory.ts');
    return openMemory(location.slice('memory:'.length), settings);
  }
  const { openS3 } = await import('./backends/object/open-s3.ts');
  return openS3(location, settings);
}

/** An option that would do nothing is a mistake. */
function refuseOptions(options: OpenOptions, name: 'local' | 'objects', kind: string): void {
  if (options[name] === undefined) return;
  throw new VarveError(
    'INVALID_ARGUMENT',
    `options.${name} is not for a store of ${kind}: leave it out`,
  );
}

export type { S3Config, S3Credentials };

/** What an audit of a store may be given. */
export interface StoreAuditOptions extends AuditOptions {
  /**
   * Rebuild every conversation and blob as well, as a reader would, and verify their digests.
   * Default: false.
   */
  readonly deep?: boolean | undefined;
}

const STORE_AUDIT_OPTIONS = declareOptions<StoreAuditOptions>()({
  defaults: { deep: false },
  members: (is: OptionKinds) => ({ ...auditKinds(is), deep: is.flag }),
});

/** What a restored store came to. */
export interface RestoreReport extends BackupReport {
  /** Of the audit of the restored store: every byte was read and re-hashed. */
  readonly audit: AuditReport;
  readonly findings: readonly Finding[];
}

/**
 * Makes a store of a backup, at a location where there is none or an empty one, and audits it. The
 * backup stays as it is. It need not go where it came from: a directory's can be restored to a
 * bucket, and the other way round.
 *
 * ```ts
 * const { audit, findings } = await restoreStore('/mnt/copy', './restored');
 * for (const { message } of findings) console.warn(message);
 * console.log(`${audit.manifests} manifests`);
 * ```
 *
 * @throws `NOT_FOUND`, `INVALID_ARGUMENT`, `NO_SPACE`, `IO`; what an audit finds is in the report.
 */
export async function restoreStore(
  folder: string,
  location: string | URL | S3Config,
  options?: BackupOptions,
): Promise<RestoreReport> {
  const given = BACKUP_OPTIONS.read('restoreStore', options);
  const place = placeOf(location);
  const backup = pathOf(folder);
  const replica = await replicaIn(backup);
  if (replica === undefined && !isOfObjects(place)) {
    const path = pathOf(place);
    const report = await restoreBackup(backup, path, given);
    return audited(report, await LocalBackend.open(path, { create: false }), given);
  }
  if (!isOfObjects(place)) assertApart(pathOf(place), backup);
  const source = await LocalBackend.open(replica ?? backup, { readOnly: true });
  try {
    const { backend } = await openStore(
      place,
      given.signal === undefined ? {} : { signal: given.signal },
    );
    try {
      await assertEmpty(backend, 'a backup is restored where there is nothing yet, and');
      return audited(await copyContent(source, backend, given), backend, given);
    } catch (error) {
      await backend.close();
      throw error;
    }
  } finally {
    await source.close();
  }
}

/**
 * Says what is wrong with the surroundings of a store in a directory: links, modes and owners,
 * strange files, the medium, locks of processes that are gone, packs that are missing or too short,
 * times in the future. Changes nothing and reads no content: that is for {@link Store.audit}.
 *
 * ```ts
 * for (const { message, remedy } of (await doctor('./archive')).findings) {
 *   console.warn(message, remedy);
 * }
 * ```
 *
 * @throws `NOT_FOUND` when there is no store, `INVALID_ARGUMENT` for one of objects, `DENIED`,
 *   `IO`.
 */
export async function doctor(location: string | URL): Promise<DoctorReport> {
  const place = location instanceof URL ? location.href : location;
  if (isOfObjects(place)) {
    throw new VarveError('INVALID_ARGUMENT', `a doctor looks at directories, and ${place} is none`);
  }
  return examine(pathOf(place));
}

/** What a store that was rebuilt from its packs came to. */
export interface SalvageStoreReport extends SalvageReport {
  /** Of the audit of the new store: every byte was read and re-hashed. */
  readonly audit: AuditReport;
  readonly findings: readonly Finding[];
}

/**
 * Rebuilds a store in a directory from its packs alone, in a new or empty folder, and audits it:
 * for a store whose index is lost, damaged or outdated. What is deleted stays deleted. What can be
 * read but may be outdated or deleted, or has no id any more, goes into a second store beside the
 * new one, named `<target>.quarantine`. The directory itself is only read.
 *
 * ```ts
 * const { isCertain, manifests, lost } = await salvageStore('./damaged', './salvaged');
 * ```
 *
 * @throws `NOT_FOUND` when there are no packs; `INVALID_ARGUMENT` when a folder to write to is not
 *   empty; `NO_SPACE`, `IO`.
 */
export async function salvageStore(
  directory: string,
  target: string,
  options?: SalvageOptions,
): Promise<SalvageStoreReport> {
  const given = SALVAGE_OPTIONS.read('salvageStore', options);
  const { salvageLocal } = await import('./backends/local/salvage/salvage.ts');
  const path = pathOf(target);
  const report = await salvageLocal(pathOf(directory), path, natureOf, given);
  return audited(report, await LocalBackend.open(path, { create: false }), given);
}

/** Audits a store that was just made, and closes it. */
async function audited<Report extends object>(
  report: Report,
  backend: Backend,
  options: BackupOptions,
): Promise<Report & Pick<RestoreReport, 'audit' | 'findings'>> {
  try {
    const findings: Finding[] = [];
    const audit = backend.audit(options);
    let step = await audit.next();
    for (; !step.done; step = await audit.next()) findings.push(step.value);
    return { ...report, audit: step.value, findings };
  } finally {
    await backend.close();
  }
}

async function isEmpty(backend: Backend): Promise<boolean> {
  return (await firstOf(backend)) === undefined;
}

async function assertEmpty(backend: Backend, reason: string): Promise<void> {
  const first = await firstOf(backend);
  if (first === undefined) return;
  throw new VarveError(
    'INVALID_ARGUMENT',
    `${reason} ${backend.location} is not empty (it holds ${first.kind} ` +
      `${JSON.stringify(first.id)}): name one that is new`,
  );
}

async function firstOf(backend: Backend): Promise<ManifestKey | undefined> {
  for (const kind of MANIFEST_KINDS) {
    for await (const { key } of backend.list(kind)) return key;
  }
  return undefined;
}

async function copyContent(
  source: Backend,
  target: Backend,
  options: BackupOptions,
): Promise<BackupReport> {
  const started = performance.now();
  const { manifests, copiedBytes, unreadable, listFault } = await new Replication(
    source,
    target,
    options,
  ).run();
  // A report could not name it, and a copy that lacks something must not look whole.
  if (listFault !== undefined) {
    throw new VarveError(listFault.code, `everything else was copied: ${listFault.message}`, {
      cause: listFault,
    });
  }
  const { storedBytes } = await target.usage();
  return {
    location: target.location,
    manifests,
    unreadable,
    bytes: storedBytes,
    copiedBytes,
    durationMs: performance.now() - started,
  };
}

/** An open store. Close it when done: that folds its write-ahead log in. */
export class Store implements AsyncDisposable {
  /** Where everything is kept, for what the interfaces above it do not offer. */
  readonly backend: Backend;
  readonly conversations: Conversations;
  /** Byte strings of an application, under their address, held by pins. */
  readonly segments: Segments;
  /** Named byte streams of any size. */
  readonly blobs: Blobs;
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
      (telling) => this.#audit(telling.watching(given)),
      ({ kind }) => kind,
    );
  }

  async *#audit({
    deep,
    ...options
  }: StoreAuditOptions): AsyncGenerator<Finding, AuditReport, undefined> {
    const started = performance.now();
    const reported = new Set<string>();
    const nameOf = ({ kind, id }: ManifestKey) => `${kind} ${id}`;
    const audit = this.backend.audit(options);
    let step = await audit.next();
    for (; !step.done; step = await audit.next()) {
      if (step.value.harmful) for (const key of step.value.manifests) reported.add(nameOf(key));
      yield step.value;
    }
    if (!deep) return step.value;
    let found = 0;
    for await (const finding of auditContent(this, (key) => reported.has(nameOf(key)), options)) {
      found++;
      yield finding;
    }
    const { findings, unrepaired } = step.value;
    const durationMs = performance.now() - started;
    return {
      ...step.value,
      findings: findings + found,
      unrepaired: unrepaired + found,
      durationMs,
    };
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
    const telling = new Work('backup', this.#onEvent);
    return telling.run(() => this.#backup(path, telling.watching(given)));
  }

  async #backup(path: string, given: BackupOptions): Promise<BackupReport> {
    if (this.backend.backup !== undefined) return this.backend.backup(path, given);
    const target = await LocalBackend.open(
      await prepareReplica(path, this.location, this.backend.identity),
      {},
    );
    try {
      // A bucket that was lost and made anew must not take its backup with it.
      if (await isEmpty(this.backend))
        await assertEmpty(target, `there is nothing in ${this.location} to back up, and`);
      const report = await copyContent(this.backend, target, given);
      // Of what an older backup had and the store no longer has.
      await target.collect({ graceMs: 0, signal: given.signal });
      return { ...report, location: path };
    } finally {
      await target.close();
    }
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
   * @throws `HELD`, `NO_SPACE`, `BUSY` and what else a collection throws; then calling again goes
   *   on from there.
   */
  async eraseConversations(
    ids: Iterable<string>,
    options?: ErasureOptions,
  ): Promise<ErasureReport> {
    const given = ERASURE_OPTIONS.read('eraseConversations', options);
    const abort = { signal: given.signal };
    const wanted = [...new Set(listOf('ids to erase', ids, checkId))];
    const keys = wanted.map((id) => ({ kind: 'conversation', id }) as const);
    const contents = await contentsOf(this.backend, keys, abort);
    const held = new Map<string, VarveError>();
    const onFailure = (id: string, error: VarveError) => {
      if (!isVarveError(error, 'HELD')) throw error;
      held.set(id, error);
    };
    const deleted = await this.conversations.deleteMany(wanted, { ...abort, onFailure });
    const collection = await this.gc.erase(given);
    const remnants = remnantsOf(
      collection,
      contents,
      wanted.filter((id) => !held.has(id)),
    );
    const shared = await findShared(this.backend, contents.segments, abort);
    const known = new Set([...deleted, ...held.keys()]);
    return {
      deleted,
      absent: wanted.filter((id) => !known.has(id)),
      held: [...held].map(([id, error]) => ({ id, error })),
      shared,
      collection: { ...collection, ...(remnants && { remnants }) },
    };
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

function pathOf(location: string): string {
  if (typeof location !== 'string' || location.includes('\0')) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      'the location of a store is a path or a URL, without NUL characters',
    );
  }
  if (!location.isWellFormed())
    throw invalid(`a location is well-formed Unicode; not ${shown(location)}`);
  if (location === '')
    throw new VarveError('INVALID_ARGUMENT', 'a location is empty: name a directory');
  if (location.startsWith('file:')) return filePath(location);
  // One letter is a Windows drive.
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(location)?.[1];
  if (scheme === undefined) return location;
  throw new VarveError(
    'INVALID_ARGUMENT',
    `no backend for ${scheme}: locations; a store is a directory (a path or a file: URL), ` +
      's3://bucket/prefix, or memory:',
  );
}

/** `file:///absolute` is a URL; `file:./relative` is the shorthand that command lines want. */
function filePath(location: string): string {
  if (!location.startsWith('file://')) return location.slice('file:'.length);
  try {
    return fileURLToPath(location);
  } catch (cause) {
    throw new VarveError('INVALID_ARGUMENT', `not a file: URL of this machine: ${location}`, {
      cause,
    });
  }
}

type Defined<T> = { [Key in keyof T]: Exclude<T[Key], undefined> };

function definedOnly<T extends object>(options: T): Partial<Defined<T>> {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as Partial<Defined<T>>;
}
