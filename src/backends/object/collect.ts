import type { Address } from '../../address.ts';
import { isVarveError, throwIfAborted } from '../../errors.ts';
import type { CollectOptions, CollectReport, DeleteWrite, ManifestKey, WriteOutcome } from '../backend.ts';
import { decodeExpiryHint, decodeReleaseHint, expiryPrefix, type Hints, type ReleaseHint } from './hints.ts';
import { EXPIRY_HINTS_PREFIX, KINDS, RELEASE_HINTS_PREFIX, WRITER_HINTS_PREFIX } from './keys.ts';
import type { ListIndex } from './list-index.ts';
import { listObjects } from './listing.ts';
import type { ListedObject } from './object-store.ts';
import { abortOf, forEach, type Protocol } from './protocol.ts';
import { reap } from './reap.ts';
import type { SegmentTaker } from './segment-taker.ts';
import { addressesWithSidecars, type SweepOptions, sweep, type Verdict } from './sweep.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** A writer that has not renewed its mark for so long has ended, or rests: what it left may be looked for. */
const STALE_WRITER_MS = 15 * 60 * 1000;

/** So many hints are read at once. */
const HINT_WINDOW = 64;

export interface CollectContext {
  readonly protocol: Protocol;
  readonly taker: SegmentTaker;
  readonly hints: Hints;
  readonly index: ListIndex;
  /** Called with segments that were collected: no cache may keep them. */
  readonly forget: (address: Address) => void;
  readonly remove: (writes: readonly DeleteWrite[]) => Promise<WriteOutcome[]>;
}

type Totals = {
  -readonly [Name in
    | 'collectedSegments'
    | 'collectedBytes'
    | 'waitingSegments'
    | 'waitingBytes'
    | 'freedBytes']: CollectReport[Name];
};

/**
 * One collection. The everyday run follows hints, so it costs in proportion to the garbage; `full` walks the keyspace, and
 * finds what no hint tells of.
 */
export class Collection {
  readonly #context: CollectContext;
  readonly #options: CollectOptions;
  readonly #sweeping: SweepOptions;
  readonly #totals: Totals = {
    collectedSegments: 0,
    collectedBytes: 0,
    waitingSegments: 0,
    waitingBytes: 0,
    freedBytes: 0,
  };
  /** Segments judged in this run. */
  readonly #judged = new Set<Address>();
  #expired = 0;

  constructor(context: CollectContext, options: CollectOptions) {
    this.#context = context;
    this.#options = options;
    this.#sweeping = { graceMs: options.graceMs ?? DAY_MS, dryRun: options.dryRun ?? false };
  }

  async run(): Promise<CollectReport> {
    const { clock } = this.#context.protocol;
    const started = clock.monotonic();
    await this.#expire();
    await this.#finishCrashed();
    await this.#followHints();
    if (this.#options.full) await this.#walk();
    return {
      dryRun: this.#sweeping.dryRun,
      expiredManifests: this.#expired,
      ...this.#totals,
      deadBytes: 0,
      rewrittenPacks: 0,
      durationMs: clock.monotonic() - started,
    };
  }

  /** Deletes manifests whose time has come, each only at the revision that says so (rule 11). */
  async #expire(): Promise<void> {
    const { protocol, index } = this.#context;
    const due: ManifestKey[] = [];
    const hints = await this.#dueExpiries();
    for (const { key } of hints) {
      const object = await protocol.store.get(key, abortOf(this.#options.signal));
      if (object !== undefined) due.push(decodeExpiryHint(object.body, key));
    }
    if (this.#options.full) {
      const now = this.#now();
      for (const kind of KINDS) {
        const manifests = await index.all(kind, abortOf(this.#options.signal));
        for (const { head } of manifests)
          if ((head?.expiresAt ?? Number.POSITIVE_INFINITY) <= now && head) due.push(head.key);
      }
    }
    await this.#deleteExpired(due);
    if (this.#sweeping.dryRun) return;
    // A hint comes before its commit: a young one may be of a commit under way.
    const old = hints.filter(({ lastModified }) => protocol.serverClock.earliest() - lastModified > STALE_WRITER_MS);
    if (old.length > 0) await protocol.store.delete(old.map(({ key }) => key).slice(0, 1000));
  }

  async #dueExpiries(): Promise<ListedObject[]> {
    const due: ListedObject[] = [];
    for await (const object of this.#list(EXPIRY_HINTS_PREFIX)) {
      if (object.key > `${expiryPrefix(this.#now())}~`) break;
      due.push(object);
    }
    return due;
  }

  async #deleteExpired(keys: readonly ManifestKey[]): Promise<void> {
    const distinct = new Map(keys.map((key) => [`${key.kind}/${key.id}`, key]));
    const found = await forEach(distinct.values(), (key) => this.#context.protocol.manifests.read(key));
    const now = this.#now();
    const writes = found.flatMap(({ record }): DeleteWrite[] => {
      const { revision, hold, expiresAt = Number.POSITIVE_INFINITY } = record?.current ?? {};
      if (record === undefined || revision === undefined || hold !== undefined || expiresAt > now) return [];
      return [{ operation: 'delete', key: record.key, ifRevision: revision }];
    });
    if (this.#sweeping.dryRun) this.#expired += writes.length;
    else {
      const outcomes = writes.length === 0 ? [] : await this.#context.remove(writes);
      this.#expired += outcomes.filter(({ status }) => status === 'deleted').length;
    }
  }

  /** Fences the attempts of writers whose marks have grown old; in a full run, of all whose leases have run out. */
  async #finishCrashed(): Promise<void> {
    if (this.#sweeping.dryRun) return;
    const { protocol, index, taker, hints } = this.#context;
    const marks: ListedObject[] = [];
    for await (const mark of this.#list(WRITER_HINTS_PREFIX)) {
      if (protocol.serverClock.earliest() - mark.lastModified > STALE_WRITER_MS) marks.push(mark);
    }
    if (marks.length === 0 && !this.#options.full) return;
    let isAllFinished = true;
    for (const kind of KINDS) {
      const { unsettled } = await index.survey(kind, abortOf(this.#options.signal));
      const finished = await forEach(unsettled, (seen) => reap(protocol, taker, hints, seen));
      isAllFinished &&= finished.every(Boolean);
    }
    if (isAllFinished && marks.length > 0) await protocol.store.delete(marks.map(({ key }) => key).slice(0, 1000));
  }

  async #followHints(): Promise<void> {
    let window: ListedObject[] = [];
    let done = 0;
    for await (const hint of this.#list(RELEASE_HINTS_PREFIX)) {
      window.push(hint);
      if (window.length < HINT_WINDOW) continue;
      await this.#followWindow(window);
      done += window.length;
      this.#progress('following hints', done, done);
      window = [];
    }
    await this.#followWindow(window);
    this.#progress('following hints', done + window.length, done + window.length);
  }

  async #followWindow(hints: readonly ListedObject[]): Promise<void> {
    const { protocol } = this.#context;
    const read = await forEach(hints, async ({ key }) => {
      const object = await protocol.store.get(key, abortOf(this.#options.signal));
      return object === undefined ? undefined : readHint(object.body, key);
    });
    const isFinished = await forEach(read, (hint) => this.#finishReleases(hint));
    const segments = new Set(read.flatMap((hint) => hint?.segments ?? []));
    const verdicts = await this.#judge([...segments]);
    const waiting = new Set(verdicts.filter(({ outcome }) => outcome === 'waiting').map(({ address }) => address));
    if (this.#sweeping.dryRun) return;
    // Rule 14: a hint goes when nothing it tells of is left to do.
    const spent = hints.filter(
      ({ lastModified }, at) =>
        isFinished[at] &&
        !read[at]?.segments.some((address) => waiting.has(address)) &&
        // Younger ones may be of releases under way.
        (protocol.serverClock.earliest() - lastModified > protocol.settings.leaseMs + protocol.settings.timeoutMs ||
          !this.#mayBeUnderWay(read[at], verdicts)),
    );
    if (spent.length > 0) await protocol.store.delete(spent.map(({ key }) => key));
  }

  /** Whether a segment of a hint is still referenced, perhaps by what the hint says is about to go. */
  #mayBeUnderWay(hint: ReleaseHint | undefined, verdicts: readonly Verdict[]): boolean {
    const referenced = new Set(
      verdicts.filter(({ outcome }) => outcome === 'referenced').map(({ address }) => address),
    );
    return hint?.segments.some((address) => referenced.has(address)) ?? false;
  }

  /** Lets go of what a process began to let go of and did not finish. */
  async #finishReleases(hint: ReleaseHint | undefined): Promise<boolean> {
    if (hint === undefined || this.#sweeping.dryRun) return true;
    const { protocol, taker, hints } = this.#context;
    const finished = await forEach(hint.manifests, async (objectKey) => {
      try {
        const seen = await protocol.manifests.readObject(objectKey);
        if (seen.record === undefined || seen.record.releasing.length === 0) return true;
        return await reap(protocol, taker, hints, seen);
      } catch (error) {
        // Damage is for an audit to tell of; the garbage of others is collected nevertheless.
        if (isVarveError(error, 'CORRUPT')) return false;
        throw error;
      }
    });
    return finished.every(Boolean);
  }

  async #walk(): Promise<void> {
    let done = 0;
    for await (const page of addressesWithSidecars(this.#context.protocol, this.#options.signal)) {
      await this.#judge(page.filter((address) => !this.#judged.has(address)));
      done += page.length;
      this.#progress('walking segments', done, done);
    }
  }

  async #judge(addresses: readonly Address[]): Promise<Verdict[]> {
    throwIfAborted(this.#options.signal);
    const verdicts = await sweep(this.#context.protocol, addresses, this.#sweeping);
    for (const { address, outcome, length, storedBytes } of verdicts) {
      if (this.#judged.has(address)) continue;
      this.#judged.add(address);
      if (outcome === 'collected') {
        if (!this.#sweeping.dryRun) this.#context.forget(address);
        this.#totals.collectedSegments++;
        this.#totals.collectedBytes += length;
        this.#totals.freedBytes += storedBytes;
      } else if (outcome === 'waiting') {
        this.#totals.waitingSegments++;
        this.#totals.waitingBytes += length;
      }
    }
    return verdicts;
  }

  #list(prefix: string): AsyncGenerator<ListedObject, void, undefined> {
    return listObjects(this.#context.protocol, prefix, abortOf(this.#options.signal));
  }

  /** For times that users give: they go by their own clock, which is the local one. */
  #now(): number {
    return this.#context.protocol.clock.now();
  }

  #progress(phase: string, done: number, total: number): void {
    throwIfAborted(this.#options.signal);
    this.#options.onProgress?.({ phase, done, total });
  }
}

/** A hint that cannot be read tells of nothing; a full run makes up for it. */
function readHint(body: Uint8Array, key: string): ReleaseHint | undefined {
  try {
    return decodeReleaseHint(body, key);
  } catch (error) {
    if (isVarveError(error, 'CORRUPT')) return undefined;
    throw error;
  }
}
