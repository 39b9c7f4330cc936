import {
  AUDIT_OPTIONS,
  type AuditOptions,
  type AuditReport,
  type Finding,
} from '../../src/backends/contract/audit.ts';
import type { Backend, BackendCapabilities, Health } from '../../src/backends/contract/backend.ts';
import {
  type CollectOptions,
  type CollectReport,
  readCollectOptions,
} from '../../src/backends/contract/collection.ts';
import { heldError } from '../../src/backends/contract/decide.ts';
import {
  type AppendWrite,
  type DeleteWrite,
  type HoldWrite,
  type ListFilter,
  type Locator,
  MANIFEST_KINDS,
  type ManifestFields,
  type ManifestHead,
  type ManifestKey,
  type ManifestKind,
  type ManifestWrite,
  type NewEntry,
  type NewSegment,
  type PutWrite,
  type ReadManifestOptions,
  type Revision,
  type SegmentDescription,
  type StoredManifest,
  type WriteOutcome,
  type WriteSuccess,
} from '../../src/backends/contract/manifests.ts';
import {
  takeAddresses,
  takeFilter,
  takeKeys,
  takeLocators,
} from '../../src/backends/contract/read-validation.ts';
import { KEPT_REPORTS, type Lease, type ReportLog } from '../../src/backends/contract/reports.ts';
import type { CountedUsage, ManifestSurvey, Usage } from '../../src/backends/contract/usage.ts';
import { commitTaken, publishTaken } from '../../src/backends/contract/write-intake.ts';
import {
  checkedBytes,
  checkLease,
  checkReport,
} from '../../src/backends/contract/write-validation.ts';
import { type AbortOptions, throwIfAborted } from '../../src/core/abort.ts';
import { type Address, addressOf } from '../../src/core/address.ts';
import { isVarveError, VarveError } from '../../src/core/errors.ts';
import { ownCopy } from '../../src/core/own-copy.ts';
import {
  conflict,
  type Entry,
  headOf,
  lengthOf,
  type Manifest,
  ModelStore,
  nameOf,
  ordered,
  referencesOf,
  type Segment,
  sameContent,
  storedEntry,
} from './model-store.ts';

const NOTHING_NEW = { newSegments: 0, newBytes: 0 };

export interface ModelOptions {
  readonly now?: () => number;
  readonly writable?: boolean;
  readonly inlineBelow?: number;
  readonly countsReferencesOf?: 'entries' | 'manifests';
}

/**
 * `Backend` on Maps: the reference that the conformance suite is checked against, and what the
 * layers above are tested on. Each write is applied synchronously, after everything that can fail;
 * that is all its transactions are.
 */
export class ModelBackend implements Backend {
  readonly location = 'model:';
  readonly format = 1;
  readonly capabilities: BackendCapabilities;
  readonly reports: ReportLog;
  readonly #store: ModelStore;
  readonly #now: () => number;
  #closed = false;

  constructor(store: ModelStore = new ModelStore(), options: ModelOptions = {}) {
    this.#store = store;
    this.#now = options.now ?? Date.now;
    this.reports = {
      add: async (report, given) => {
        this.#checkWritable(given);
        checkReport(report);
        store.reports.push({ ...report });
        store.reports.sort((a, b) => a.time - b.time);
        store.reports.splice(0, store.reports.length - KEPT_REPORTS);
      },
      list: async (given = {}) => {
        this.#check(given);
        return store.reports.toReversed().slice(0, given.limit ?? KEPT_REPORTS);
      },
    };
    this.capabilities = {
      writable: options.writable ?? true,
      multiMachine: false,
      countsReferencesOf: options.countsReferencesOf ?? 'entries',
      inlineBelow: options.inlineBelow ?? 256,
      writesTogether: 8192,
    };
  }

  async commit(writes: readonly ManifestWrite[], options?: AbortOptions): Promise<WriteOutcome[]> {
    this.#checkWritable(options);
    return commitTaken(writes, async (taken) =>
      taken.map((write) => this.#outcome(() => this.#apply(write))),
    );
  }

  async publish(
    write: Omit<PutWrite, 'entries' | 'fields'>,
    entries: AsyncIterable<NewEntry>,
    fields: () => ManifestFields,
    options?: AbortOptions,
  ): Promise<WriteOutcome> {
    this.#checkWritable(options);
    return publishTaken(write, entries, fields, async (taken, source, fieldsOf) => {
      const arrived: NewEntry[] = [];
      for await (const entry of source) {
        this.#checkWritable(options);
        arrived.push(entry);
      }
      this.#checkWritable(options);
      const put: PutWrite = { ...taken, entries: arrived, fields: fieldsOf() };
      return this.#outcome(() => this.#put(put));
    });
  }

  async read(
    keys: readonly ManifestKey[],
    options?: ReadManifestOptions,
  ): Promise<(StoredManifest | undefined)[]> {
    this.#check(options);
    return takeKeys(keys).map((key) => {
      const manifest = this.#find(key);
      if (manifest === undefined) return undefined;
      const entries = options?.entries === 'newest' ? manifest.entries.slice(-1) : manifest.entries;
      return { ...headOf(manifest), entries: entries.map(storedEntry) };
    });
  }

  async heads(
    keys: readonly ManifestKey[],
    options?: AbortOptions,
  ): Promise<(ManifestHead | undefined)[]> {
    this.#check(options);
    return takeKeys(keys).map((key) => {
      const manifest = this.#find(key);
      return manifest && headOf(manifest);
    });
  }

  async *list(
    kind: ManifestKind,
    filter: ListFilter = {},
    options?: AbortOptions,
  ): AsyncIterable<ManifestHead> {
    this.#check(options);
    const taken = takeFilter(kind, filter);
    for (const manifest of ordered([...this.#store.manifests[kind].values()], taken)) {
      this.#check(options);
      const current = this.#find(manifest.key);
      if (current) yield headOf(current);
    }
  }

  async fetch(locators: readonly Locator[], options?: AbortOptions): Promise<Uint8Array[]> {
    this.#check(options);
    return takeLocators(locators).map((locator) => {
      const { address, bytes } = this.#located(locator);
      if (addressOf(bytes) !== address)
        throw new VarveError('CORRUPT', `segment ${address} is damaged`);
      return ownCopy(bytes);
    });
  }

  async describe(
    locators: readonly Locator[],
    options?: AbortOptions,
  ): Promise<SegmentDescription[]> {
    this.#check(options);
    return takeLocators(locators).map((locator) => {
      const segment = this.#located(locator);
      const { address, encoding, bytes } = segment;
      const isByManifest = this.capabilities.countsReferencesOf === 'manifests';
      const references = isByManifest ? this.#holders(segment) : segment.references;
      return { address, encoding, length: bytes.length, references };
    });
  }

  async addresses(locators: readonly Locator[], options?: AbortOptions): Promise<Address[]> {
    this.#check(options);
    return takeLocators(locators).map((locator) => this.#located(locator).address);
  }

  async find(
    addresses: readonly Address[],
    options?: AbortOptions,
  ): Promise<(Locator | undefined)[]> {
    this.#check(options);
    return takeAddresses(addresses).map((address) => this.#store.segments.get(address)?.locator);
  }

  async collect(options?: CollectOptions): Promise<CollectReport> {
    const { graceMs, dryRun } = readCollectOptions(options);
    this.#checkWritable(options);
    const now = this.#now();
    const expired = MANIFEST_KINDS.flatMap((kind) => [
      ...this.#store.manifests[kind].values(),
    ]).filter(
      ({ fields, hold }) =>
        fields.expiresAt !== undefined && fields.expiresAt <= now && hold === undefined,
    );
    if (!dryRun) for (const manifest of expired) this.#remove(manifest);
    const unreferenced = [...this.#store.segments.values()].filter(
      ({ references }) => references === 0,
    );
    // What has just expired is unreferenced since a moment that may be later than the first.
    const swept = this.#now();
    const due = unreferenced.filter((segment) => segment.unreferencedSince + graceMs <= swept);
    const waiting = unreferenced.filter((segment) => segment.unreferencedSince + graceMs > swept);
    if (!dryRun) {
      for (const segment of due) {
        this.#store.segments.delete(segment.address);
        this.#store.byLocator.delete(segment.locator);
      }
    }
    return {
      dryRun,
      isComplete: true,
      reasons: {
        ...(expired.length > 0 && {
          expired: {
            count: expired.length,
            bytes: expired.reduce((sum, { fields }) => sum + fields.logicalBytes, 0),
          },
        }),
        ...(due.length > 0 && { unreferenced: { count: due.length, bytes: lengthOf(due) } }),
      },
      expiredManifests: expired.length,
      collectedSegments: due.length,
      collectedBytes: lengthOf(due),
      waitingSegments: waiting.length,
      waitingBytes: lengthOf(waiting),
      freedBytes: lengthOf(due),
      deadBytes: 0,
      rewrittenPacks: 0,
      durationMs: 0,
    };
  }

  async *audit(options?: AuditOptions): AsyncGenerator<Finding, AuditReport, undefined> {
    AUDIT_OPTIONS.read('audit', options);
    this.#check(options);
    const counted = new Map<Segment, number>();
    const holders = new Map<Segment, ManifestKey[]>();
    let manifests = 0;
    for (const manifest of MANIFEST_KINDS.flatMap((kind) => [
      ...this.#store.manifests[kind].values(),
    ])) {
      manifests += 1;
      for (const segment of referencesOf(manifest.entries)) {
        counted.set(segment, (counted.get(segment) ?? 0) + 1);
        holders.set(segment, [...(holders.get(segment) ?? []), manifest.key].slice(0, 100));
      }
    }
    let findings = 0;
    for (const segment of this.#store.segments.values()) {
      const { address, bytes, references } = segment;
      const common = {
        address,
        manifests: holders.get(segment) ?? [],
        repair: 'none',
        repaired: false,
      };
      if (addressOf(bytes) !== address) {
        findings += 1;
        yield {
          ...common,
          kind: 'corrupt-data',
          message: `segment ${address} is damaged`,
          harmful: true,
        };
      }
      if (references !== (counted.get(segment) ?? 0)) {
        findings += 1;
        yield {
          ...common,
          kind: 'wrong-count',
          message: `segment ${address} is miscounted`,
          harmful: false,
        };
      }
    }
    const segments = [...this.#store.segments.values()];
    const verifiedBytes = lengthOf(segments);
    return {
      manifests,
      segments: segments.length,
      verifiedBytes,
      findings,
      unrepaired: findings,
      durationMs: 0,
    };
  }

  async health(options?: AbortOptions): Promise<Health> {
    this.#check(options);
    return { healthy: true, latencyMs: 0 };
  }

  async lastUsage(options?: AbortOptions): Promise<CountedUsage> {
    return { countedAt: this.#now(), usage: await this.usage(options) };
  }

  async usage(options?: AbortOptions): Promise<Usage> {
    this.#check(options);
    const segments = [...this.#store.segments.values()];
    const garbage = segments.filter(({ references }) => references === 0);
    const bodies = MANIFEST_KINDS.flatMap((kind) => [
      ...this.#store.manifests[kind].values(),
    ]).flatMap(({ entries }) => entries);
    const bodyBytes = bodies.reduce((sum, { body }) => sum + body.length, 0);
    const ofKind = (kind: ManifestKind) => {
      const manifests = [...this.#store.manifests[kind].values()];
      return {
        count: manifests.length,
        logicalBytes: manifests.reduce((sum, m) => sum + m.fields.logicalBytes, 0),
      };
    };
    return {
      manifests: { conversation: ofKind('conversation'), blob: ofKind('blob'), pin: ofKind('pin') },
      segments: segments.length,
      segmentBytes: lengthOf(segments),
      storedBytes: lengthOf(segments) + bodyBytes,
      indexBytes: 0,
      garbageSegments: garbage.length,
      garbageBytes: lengthOf(garbage),
    };
  }

  async *survey(options?: AbortOptions): AsyncIterable<ManifestSurvey> {
    this.#check(options);
    for (const manifest of MANIFEST_KINDS.flatMap((kind) => [
      ...this.#store.manifests[kind].values(),
    ])) {
      this.#check(options);
      const { entries } = manifest;
      const bodyBytes = entries.reduce((sum, { body }) => sum + body.length, 0);
      const segments = [...new Set(referencesOf(entries))].map((segment) => {
        const { address, encoding, bytes, references } = segment;
        const own = [...referencesOf(entries)].filter((each) => each === segment).length;
        const uses = entries
          .flatMap((entry) => entry.segments)
          .filter((each) => each === segment).length;
        const length = bytes.length;
        return {
          address,
          encoding,
          length,
          storedBytes: length,
          references,
          share: own / references,
          uses,
        };
      });
      yield { head: headOf(manifest), bodyBytes, bodyStoredBytes: bodyBytes, segments };
    }
  }

  async lease(name: string, ttlMs: number, options?: AbortOptions): Promise<Lease | undefined> {
    this.#checkWritable(options);
    checkLease(name, ttlMs);
    if ((this.#store.leases.get(name)?.until ?? 0) > this.#now()) return undefined;
    const holder = this.#store.next();
    this.#store.leases.set(name, { holder, until: this.#now() + ttlMs });
    const renew = async (duration: number): Promise<boolean> => {
      const lease = this.#store.leases.get(name);
      if (lease?.holder !== holder) return false;
      lease.until = this.#now() + duration;
      return true;
    };
    return {
      renew,
      release: async () => {
        await renew(0);
      },
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** For tests of what happens on damage: flips a bit of a stored segment. */
  damage(address: Address): void {
    const bytes = this.#store.segments.get(address)?.bytes;
    if (!bytes?.length) throw new Error(`no segment to damage under ${address}`);
    bytes[0] = (bytes[0] as number) ^ 1;
  }

  #apply(write: ManifestWrite): WriteSuccess {
    if (write.operation === 'put') return this.#put(write);
    if (write.operation === 'append') return this.#append(write);
    return write.operation === 'delete' ? this.#delete(write) : this.#hold(write);
  }

  #put(write: PutWrite): WriteSuccess {
    const stored = this.#find(write.key);
    if (write.ifRevision !== undefined && write.ifRevision !== stored?.revision)
      throw conflict(write.key);
    if (stored && sameContent(stored, write))
      return { status: 'unchanged', revision: stored.revision, ...NOTHING_NEW };
    if (stored && write.ifExists === 'skip')
      return { status: 'skipped', revision: stored.revision, ...NOTHING_NEW };
    if (stored && write.ifExists === 'error') {
      throw new VarveError('ALREADY_EXISTS', `other content is stored under ${nameOf(write.key)}`);
    }
    if (stored?.hold) throw heldError(write.key, stored.hold);
    const { entries, ...added } = this.#take(write.entries);
    if (stored) this.#release(stored.entries);
    const now = this.#now();
    const manifest: Manifest = {
      key: { kind: write.key.kind, id: write.key.id },
      archived: stored?.archived ?? this.#store.next(),
      idempotencyKeys: new Set(),
      revision: this.#newRevision(),
      fields: { ...write.fields, createdAt: write.fields.createdAt ?? now },
      updatedAt: now,
      entries,
    };
    this.#store.manifests[write.key.kind].set(write.key.id, manifest);
    return { status: stored ? 'replaced' : 'created', revision: manifest.revision, ...added };
  }

  #append(write: AppendWrite): WriteSuccess {
    const { idempotencyKey } = write;
    const stored = this.#find(write.key);
    if (!stored)
      throw new VarveError('NOT_FOUND', `nothing to append to under ${nameOf(write.key)}`);
    if (idempotencyKey !== undefined && stored.idempotencyKeys.has(idempotencyKey)) {
      return { status: 'unchanged', revision: stored.revision, ...NOTHING_NEW };
    }
    if (write.ifRevision !== undefined && write.ifRevision !== stored.revision)
      throw conflict(write.key);
    const { entries, ...added } = this.#take(write.entries);
    stored.entries.push(...entries);
    stored.fields = {
      ...stored.fields,
      ...write.fields,
      logicalBytes: stored.fields.logicalBytes + write.logicalBytes,
    };
    stored.revision = this.#newRevision();
    stored.updatedAt = this.#now();
    if (idempotencyKey !== undefined) stored.idempotencyKeys.add(idempotencyKey);
    return { status: 'appended', revision: stored.revision, ...added };
  }

  #delete(write: DeleteWrite): WriteSuccess {
    const stored = this.#find(write.key);
    if (!stored) return { status: 'absent', ...NOTHING_NEW };
    if (write.ifRevision !== undefined && write.ifRevision !== stored.revision)
      throw conflict(write.key);
    if (stored.hold) throw heldError(write.key, stored.hold);
    this.#remove(stored);
    return { status: 'deleted', ...NOTHING_NEW };
  }

  #hold({ key, held, reason, ifRevision }: HoldWrite): WriteSuccess {
    const stored = this.#find(key);
    if (!stored) throw new VarveError('NOT_FOUND', `nothing to hold under ${nameOf(key)}`);
    if (ifRevision !== undefined && ifRevision !== stored.revision) throw conflict(key);
    const before = stored.hold;
    const same = held ? before && (reason === undefined || reason === before.reason) : !before;
    if (same) return { status: 'unchanged', revision: stored.revision, ...NOTHING_NEW };
    stored.hold = held
      ? { since: this.#now(), ...before, ...(reason === undefined ? {} : { reason }) }
      : undefined;
    return { status: held ? 'held' : 'released', revision: stored.revision, ...NOTHING_NEW };
  }

  /** Verifies all segments, then stores the missing ones and takes the references. */
  #take(newEntries: readonly NewEntry[]): {
    entries: Entry[];
    newSegments: number;
    newBytes: number;
  } {
    const missing = new Map<Address, Segment>();
    const resolve = (segment: NewSegment): Segment => {
      const known = this.#store.segments.get(segment.address) ?? missing.get(segment.address);
      if (known) return known;
      const stored = this.#verified(segment);
      missing.set(segment.address, stored);
      return stored;
    };
    const entries = newEntries.map(({ body, segments }) => ({
      body: new Uint8Array(body),
      segments: segments.map(resolve),
    }));
    for (const segment of missing.values()) {
      this.#store.segments.set(segment.address, segment);
      this.#store.byLocator.set(segment.locator, segment);
    }
    for (const segment of referencesOf(entries)) segment.references += 1;
    return { entries, newSegments: missing.size, newBytes: lengthOf([...missing.values()]) };
  }

  #verified(segment: NewSegment): Segment {
    const { address, encoding } = segment;
    const bytes = new Uint8Array(checkedBytes(segment));
    const locator = `segment-${this.#store.next()}` as Locator;
    return { address, encoding, bytes, locator, references: 0, unreferencedSince: this.#now() };
  }

  #remove(manifest: Manifest): void {
    this.#store.manifests[manifest.key.kind].delete(manifest.key.id);
    this.#release(manifest.entries);
  }

  #release(entries: readonly Entry[]): void {
    for (const segment of referencesOf(entries)) {
      segment.references -= 1;
      if (segment.references === 0) segment.unreferencedSince = this.#now();
    }
  }

  #outcome(write: () => WriteSuccess): WriteOutcome {
    try {
      return write();
    } catch (cause) {
      if (!isVarveError(cause)) throw cause;
      return { status: 'failed', error: cause };
    }
  }

  #holders(segment: Segment): number {
    const manifests = MANIFEST_KINDS.flatMap((kind) => [...this.#store.manifests[kind].values()]);
    return manifests.filter(({ entries }) =>
      entries.some(({ segments }) => segments.includes(segment)),
    ).length;
  }

  #find(key: ManifestKey): Manifest | undefined {
    return this.#store.manifests[key.kind].get(key.id);
  }

  #located(locator: Locator): Segment {
    const segment = this.#store.byLocator.get(locator);
    if (!segment) throw new VarveError('NOT_FOUND', `no segment at ${locator}: it was collected`);
    return segment;
  }

  #newRevision(): Revision {
    return `r${this.#store.next()}` as Revision;
  }

  assertOpen(): void {
    if (this.#closed) throw new VarveError('CLOSED', 'the store was closed');
  }

  #check(options: AbortOptions | undefined): void {
    this.assertOpen();
    throwIfAborted(options?.signal);
  }

  #checkWritable(options: AbortOptions | undefined): void {
    this.#check(options);
    if (!this.capabilities.writable)
      throw new VarveError('READ_ONLY', 'the store is open for reading only');
  }
}
