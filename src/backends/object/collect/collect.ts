import { abortOf } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import type {
  CollectReason,
  CollectReport,
  CollectSettings,
  CollectShare,
  Remnant,
} from '../../contract/maintenance.ts';
import { type DeleteWrite, MANIFEST_KINDS, type WriteOutcome } from '../../contract/manifests.ts';
import { deleteAll } from '../../storage/delete-all.ts';
import { listObjects } from '../../storage/listing.ts';
import type { ListedObject } from '../../storage/object-store.ts';
import { removeProbeRemains } from '../../storage/probe-remains.ts';
import { isStale, leftBehind, reap } from '../commit/reap.ts';
import { manifestObjectKey, RELEASE_HINTS_PREFIX, WRITER_HINTS_PREFIX } from '../format/keys.ts';
import type { ListIndex } from '../listing/list-index.ts';
import { listSegments } from '../listing/segment-listing.ts';
import { findRemnants } from '../operations/remnants.ts';
import { HoldRepair } from '../segments/hold-repair.ts';
import type { SegmentTaker } from '../segments/segment-taker.ts';
import {
  type Hints,
  type ReadReleaseHint,
  type ReleaseHint,
  readReleaseHint,
} from '../tables/hints.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import type { Protocol } from '../tables/protocol.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import { CollectScope, type CollectTotals } from './collect-scope.ts';
import { expireManifests } from './expire.ts';
import { ForeseenReleases } from './foreseen-releases.ts';
import { Suspects } from './suspects.ts';
import { type Look, look, sweep, type Verdict } from './sweep.ts';

/**
 * A writer that has not renewed its mark for so long has ended, or rests: what it left may be
 * looked for.
 */
const STALE_WRITER_MS = 15 * 60 * 1000;

/** So many segments are walked at once. */
const WALK_WINDOW = 250;

/** So many hints are read at once. */
const HINT_WINDOW = 64;

const NOTHING_TOLD: ReleaseHint = { segments: [], manifests: [] };

export interface CollectContext {
  readonly protocol: Protocol;
  readonly taker: SegmentTaker;
  readonly hints: Hints;
  readonly index: ListIndex;
  /** Called with segments that were collected: no cache may keep them. */
  readonly forget: (address: Address) => void;
  readonly remove: (writes: readonly DeleteWrite[]) => Promise<WriteOutcome[]>;
}

/**
 * One collection. The everyday run follows hints, so it costs in proportion to the garbage; `full`
 * walks the keyspace, and finds what no hint tells of.
 */
export class Collection {
  readonly #context: CollectContext;
  readonly #scope: CollectScope;
  readonly #erases: boolean;
  readonly #totals: CollectTotals = {
    collectedSegments: 0,
    collectedBytes: 0,
    waitingSegments: 0,
    waitingBytes: 0,
    freedBytes: 0,
  };
  readonly #reasons: Partial<Record<CollectReason, CollectShare>> = {};
  #remnants: readonly Remnant[] = [];
  /** In a dry run, what a run would have let go of before. */
  readonly #foreseen = new ForeseenReleases();
  /** Segments told of in this run. */
  readonly #judged = new Set<Address>();

  constructor(context: CollectContext, options: CollectSettings) {
    this.#context = context;
    this.#scope = new CollectScope(options, context.protocol.clock);
    this.#erases = options.erase ?? false;
  }

  async run(): Promise<CollectReport> {
    const { protocol, index, remove } = this.#context;
    const { clock } = protocol;
    const started = clock.monotonic();
    const expired = await expireManifests(protocol, index, this.#scope, this.#foreseen, remove);
    await this.#finishCrashed();
    if (this.#scope.full) await this.#collectAll();
    await this.#followHints();
    if (!this.#scope.dryRun) await removeProbeRemains(protocol);
    if (this.#erases && !this.#scope.dryRun) {
      await index.erase();
      if (!this.#scope.isOver()) this.#remnants = await findRemnants(protocol, this.#scope.signal);
    }
    const { collectedSegments: count, collectedBytes: bytes } = this.#totals;
    this.#note('expired', expired);
    this.#note('unreferenced', { count, bytes });
    return {
      dryRun: this.#scope.dryRun,
      isComplete: !this.#scope.isCut,
      reasons: this.#reasons,
      expiredManifests: expired.count,
      ...this.#totals,
      deadBytes: 0,
      rewrittenPacks: 0,
      ...(this.#erases && { remnants: this.#remnants }),
      durationMs: clock.monotonic() - started,
    };
  }

  /**
   * Fences the attempts of writers whose marks have grown old; in a full run, of all whose leases
   * have run out.
   */
  async #finishCrashed(): Promise<void> {
    const { protocol, index, taker, hints } = this.#context;
    const marks: ListedObject[] = [];
    for await (const mark of this.#list(WRITER_HINTS_PREFIX)) {
      if (protocol.serverClock.earliest() - mark.lastModified > STALE_WRITER_MS) marks.push(mark);
    }
    if ((marks.length === 0 && !this.#scope.full) || this.#scope.isOver()) return;
    let isAllFinished = true;
    let abandoned = 0;
    for (const kind of MANIFEST_KINDS) {
      const { unsettled, unreadable } = await index.list(kind, abortOf(this.#scope.signal));
      if (unreadable.length > 0) isAllFinished = false;
      for (const seen of unsettled) {
        if (seen.record === undefined || this.#foreseen.hasTouched(seen.record.key)) continue;
        if (!this.#scope.hasObject(manifestObjectKey(seen.record.key))) isAllFinished = false;
        else if (!isStale(protocol, seen)) isAllFinished = false;
        else {
          abandoned++;
          if (this.#scope.dryRun) this.#foresee(seen);
          else isAllFinished = (await reap(protocol, taker, hints, seen)) && isAllFinished;
        }
      }
    }
    this.#note('abandoned-upload', { count: abandoned, bytes: 0 });
    if (isAllFinished && !this.#scope.dryRun) await this.#delete(marks);
  }

  /** A full run: what hints lead to, then all there is, and of both only what no manifest names. */
  async #collectAll(): Promise<void> {
    const { protocol, taker, hints } = this.#context;
    const suspects = new Suspects({
      protocol,
      scope: this.#scope,
      foreseen: this.#foreseen,
      repair: new HoldRepair(protocol, taker, hints),
      collect: (addresses) => this.#judge(addresses),
    });
    for await (const window of this.#hintWindows()) {
      const read = await this.#readHints(window);
      await mapAll(read, (hint) => this.#finishReleases(hint));
      await suspects.add(await this.#look(segmentsOf(read)));
    }
    if (!this.#scope.isOver()) await suspects.judge();
    let done = 0;
    for await (const page of listSegments(protocol, WALK_WINDOW, abortOf(this.#scope.signal))) {
      if (this.#scope.isOver()) return;
      await suspects.add(
        await this.#look(page.filter(({ hasSidecar }) => hasSidecar).map(({ address }) => address)),
      );
      done += page.length;
      this.#scope.progress('walk segments', done);
    }
    if (!this.#scope.isOver()) await suspects.judge();
  }

  /** Looks at segments that are this run's and not judged yet. */
  async #look(addresses: readonly Address[]): Promise<Look[]> {
    const ours = addresses.filter((address) => this.#isToJudge(address));
    const looks = await look(this.#context.protocol, ours, this.#sweeping());
    this.#tally(looks.filter(({ isDue }) => !isDue).map(({ verdict }) => verdict));
    return looks;
  }

  async #followHints(): Promise<void> {
    let done = 0;
    for await (const window of this.#hintWindows()) {
      await this.#followWindow(window);
      done += window.length;
      this.#scope.progress('follow hints', done);
    }
    if (this.#scope.full || this.#scope.isOver()) return;
    // A run finds these by the hints that it left.
    await this.#judge(this.#foreseen.addresses().filter((address) => this.#isToJudge(address)));
  }

  async *#hintWindows(): AsyncGenerator<ListedObject[], void, undefined> {
    let window: ListedObject[] = [];
    for await (const hint of this.#list(RELEASE_HINTS_PREFIX)) {
      window.push(hint);
      if (window.length < HINT_WINDOW) continue;
      if (this.#scope.isOver()) return;
      yield window;
      window = [];
    }
    if (window.length > 0 && !this.#scope.isOver()) yield window;
  }

  #readHints(hints: readonly ListedObject[]): Promise<(ReadReleaseHint | undefined)[]> {
    return mapAll(hints, async ({ key }) => {
      const object = await this.#context.protocol.store.get(key, abortOf(this.#scope.signal));
      // Gone: another run was done with it.
      return object === undefined ? NOTHING_TOLD : readReleaseHint(object.body, key);
    });
  }

  async #followWindow(hints: readonly ListedObject[]): Promise<void> {
    const read = await this.#readHints(hints);
    const isFinished = await mapAll(read, (hint) => this.#finishReleases(hint));
    const segments = segmentsOf(read);
    // A full run has collected what there was to collect.
    const isOurs = (address: Address) => !this.#scope.full && this.#scope.hasSegment(address);
    const verdicts = await this.#judge(segments.filter(isOurs));
    if (this.#scope.dryRun || this.#scope.isCut) return;
    // What another shard has yet to collect is not done.
    const others = segments.filter((address) => !isOurs(address));
    const open = (await look(this.#context.protocol, others, this.#sweeping())).map(
      ({ verdict }) => verdict,
    );
    const isOpen = new Set([
      ...verdicts
        .filter(({ outcome }) => outcome === 'waiting' || outcome === 'unreadable')
        .map(({ address }) => address),
      ...open.filter(({ outcome }) => outcome !== 'referenced').map(({ address }) => address),
    ]);
    const isReferenced = new Set(
      [...verdicts, ...open]
        .filter(({ outcome }) => outcome === 'referenced')
        .map(({ address }) => address),
    );
    const spent = hints.filter((hint, at) => {
      const told = read[at]?.segments ?? [];
      // A hint goes when nothing of it is left to do (rule `hint-before-change`). A young one may
      // be of releases under way.
      const mayBeUnderWay =
        this.#isYoung(hint) && told.some((address) => isReferenced.has(address));
      return isFinished[at] && !mayBeUnderWay && !told.some((address) => isOpen.has(address));
    });
    await this.#delete(spent);
  }

  #isYoung({ lastModified }: ListedObject): boolean {
    const { serverClock, settings } = this.#context.protocol;
    return serverClock.earliest() - lastModified <= settings.leaseMs + settings.timeoutMs;
  }

  /** Lets go of what a process began to let go of and did not finish. */
  async #finishReleases(hint: ReadReleaseHint | undefined): Promise<boolean> {
    // Only a full run makes up for a hint that cannot be read.
    if (hint === undefined) return this.#scope.full;
    if (hint.isNewer) return false;
    const { protocol, taker, hints } = this.#context;
    const finished = await mapAll(hint.manifests, async (objectKey) => {
      const seen = await unlessUnreadable(protocol.manifests.readObject(objectKey));
      // Damage is for an audit to tell of; the garbage of others is collected nevertheless.
      if (seen === undefined) return false;
      if (seen.record === undefined || seen.record.releasing.length === 0) return true;
      if (!this.#scope.dryRun) return reap(protocol, taker, hints, seen);
      this.#foresee(seen);
      return false;
    });
    return finished.every(Boolean);
  }

  #isToJudge(address: Address): boolean {
    return this.#scope.hasSegment(address) && !this.#judged.has(address);
  }

  #foresee(seen: SeenRecord): void {
    const { record } = seen;
    // What a run would have written by now is not old any more.
    if (record === undefined || this.#foreseen.hasTouched(record.key)) return;
    const left = leftBehind(this.#context.protocol, record, seen);
    if (left !== undefined) this.#foreseen.add(record.key, left.releases);
  }

  #sweeping(): Parameters<typeof sweep>[2] {
    const { graceMs, dryRun, concurrency } = this.#scope;
    return {
      graceMs,
      dryRun,
      foreseen: this.#foreseen,
      concurrency,
      isOver: () => this.#scope.isOver(),
    };
  }

  async #judge(addresses: readonly Address[]): Promise<Verdict[]> {
    const verdicts = await sweep(this.#context.protocol, addresses, this.#sweeping());
    this.#tally(verdicts);
    return verdicts;
  }

  #tally(verdicts: readonly Verdict[]): void {
    for (const { address, outcome, length, storedBytes } of verdicts) {
      if (outcome === 'referenced' || this.#judged.has(address)) continue;
      this.#judged.add(address);
      if (outcome === 'collected') {
        if (!this.#scope.dryRun) this.#context.forget(address);
        this.#totals.collectedSegments++;
        this.#totals.collectedBytes += length;
        this.#totals.freedBytes += storedBytes;
      } else if (outcome === 'waiting') {
        this.#totals.waitingSegments++;
        this.#totals.waitingBytes += length;
      }
    }
  }

  #note(reason: CollectReason, share: CollectShare): void {
    if (share.count > 0) this.#reasons[reason] = share;
  }

  async #delete(objects: readonly ListedObject[]): Promise<void> {
    await deleteAll(
      this.#context.protocol.store,
      objects.map(({ key }) => key),
    );
  }

  #list(prefix: string): AsyncGenerator<ListedObject, void, undefined> {
    return listObjects(this.#context.protocol, prefix, abortOf(this.#scope.signal));
  }
}

/** Every segment that the hints name, each once. */
function segmentsOf(hints: readonly (ReadReleaseHint | undefined)[]): Address[] {
  return [...new Set(hints.flatMap((hint) => hint?.segments ?? []))];
}
