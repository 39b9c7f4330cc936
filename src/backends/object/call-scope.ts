import type { Randomness } from '../../core/system/clock.ts';
import { Call } from '../storage/call.ts';
import type { Link } from '../storage/decorators/bounded-store.ts';
import { requestStack, type SharedLayers } from '../storage/decorators/request-stack.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { ObjectWriter, WriterMemory } from './commit/object-writer.ts';
import { HeadIndex } from './heads/head-index.ts';
import { HeadsMemory, type HeadsState } from './heads/heads-memory.ts';
import { ManifestLists } from './heads/manifest-lists.ts';
import { DamageMemory, DamageNotes } from './listing/damage-notes.ts';
import { ListIndex } from './listing/list-index.ts';
import { ListMemory } from './listing/list-memory.ts';
import { SegmentReader } from './segments/segment-reader.ts';
import { SegmentTaker, StoredGenerations } from './segments/segment-taker.ts';
import type { Foundation } from './tables/foundation.ts';
import { Hints, WriterMark } from './tables/hints.ts';
import { ManifestTable, RecordMemory } from './tables/manifest-table.ts';
import { PageTable } from './tables/page-table.ts';
import type { Protocol } from './tables/protocol.ts';
import { type SegmentCache, segmentCache } from './tables/segment-cache.ts';
import { SidecarMemory, SidecarTable } from './tables/sidecar-table.ts';

/** What an open store remembers from one call to the next. */
export class StoreMemory {
  readonly link: Link = { isDown: false };
  readonly records = new RecordMemory();
  readonly sidecars = new SidecarMemory();
  readonly generations = new StoredGenerations();
  readonly segments: SegmentCache;
  readonly mark: WriterMark;
  readonly lists = new ListMemory();
  readonly heads: HeadsMemory;
  readonly damage = new DamageMemory();
  readonly writers = new WriterMemory();

  constructor(randomness: Randomness, cacheBytes: number, heads: HeadsState) {
    this.heads = new HeadsMemory(heads);
    this.segments = segmentCache(cacheBytes);
    this.mark = new WriterMark(randomness);
  }
}

/**
 * The parts of the protocol as one call uses them. The call limits all their requests, so that none
 * of them has to pass on its signal and its deadline.
 */
export class CallScope {
  readonly protocol: Protocol;
  readonly taker: SegmentTaker;
  readonly reader: SegmentReader;
  readonly hints: Hints;
  readonly index: ListIndex;
  readonly heads: HeadIndex;
  readonly lists: ManifestLists;
  readonly damage: DamageNotes;
  readonly writer: ObjectWriter;

  constructor(foundation: Foundation, memory: StoreMemory, isWritable: boolean) {
    this.protocol = {
      ...foundation,
      sidecars: new SidecarTable(foundation, memory.sidecars),
      manifests: new ManifestTable(foundation, memory.records),
      pages: new PageTable(foundation, memory.segments),
    };
    this.taker = new SegmentTaker(this.protocol, memory.generations);
    this.reader = new SegmentReader(this.protocol, memory.segments);
    this.hints = new Hints(foundation, memory.mark);
    this.index = new ListIndex(
      this.protocol,
      isWritable && memory.heads.state !== 'ready',
      memory.lists,
    );
    this.heads = new HeadIndex(this.protocol, isWritable, memory.heads);
    this.lists = new ManifestLists(this.protocol, this.index, this.heads);
    this.damage = new DamageNotes(this.protocol, memory.damage);
    this.writer = new ObjectWriter(
      this.protocol,
      this.taker,
      this.hints,
      this.index,
      this.heads,
      this.damage,
      memory.writers,
    );
  }
}

/** Time for the last requests of a call that was aborted or gets no answers, in ms. */
const LAST_WORDS_MS = 400;

/** Begins the calls of an open store. */
export class Calls {
  readonly #store: ObjectStore;
  readonly #layers: SharedLayers;
  readonly #everyCall: Omit<Foundation, 'store' | 'call'>;
  readonly #memory: StoreMemory;
  readonly #isWritable: boolean;

  /**
   * @param layers what the requests of all calls pass on their way to `store`.
   * @param everyCall what is the same for all calls.
   */
  constructor(
    store: ObjectStore,
    layers: Omit<SharedLayers, 'clock' | 'link'>,
    everyCall: Omit<Foundation, 'store' | 'call'>,
    memory: StoreMemory,
    isWritable: boolean,
  ) {
    this.#store = store;
    this.#layers = { ...layers, clock: everyCall.clock, link: memory.link };
    this.#everyCall = everyCall;
    this.#memory = memory;
    this.#isWritable = isWritable;
  }

  /** A call that has to end within the time for one. */
  short(signal: AbortSignal | undefined, timeoutMs = this.#timeoutMs): CallScope {
    return this.#scope(Call.short(this.#everyCall.clock, timeoutMs, signal));
  }

  /** Work of many steps. */
  long(signal: AbortSignal | undefined): CallScope {
    return this.#scope(Call.long(this.#everyCall.clock, this.#timeoutMs, signal));
  }

  /**
   * For the last requests after the work has ended.
   *
   * @param isHasty whether to give up soon.
   */
  lastWords(isHasty: boolean): CallScope {
    const isShort = isHasty || this.#memory.link.isDown;
    return this.short(undefined, isShort ? Math.min(LAST_WORDS_MS, this.#timeoutMs) : undefined);
  }

  get #timeoutMs(): number {
    return this.#everyCall.settings.timeoutMs;
  }

  #scope(call: Call): CallScope {
    const store = requestStack(this.#store, call, this.#layers);
    return new CallScope({ ...this.#everyCall, store, call }, this.#memory, this.#isWritable);
  }
}
