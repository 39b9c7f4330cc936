import type { Randomness } from '../../core/system/clock.ts';
import type { Call } from '../storage/call.ts';
import { BoundedStore, type Link } from '../storage/decorators/bounded-store.ts';
import { ObjectWriter, WriterMemory } from './commit/object-writer.ts';
import { DamageMemory, DamageNotes } from './listing/damage-notes.ts';
import { ListIndex, ListMemory } from './listing/list-index.ts';
import { type SegmentCache, SegmentReader, segmentCache } from './segments/segment-reader.ts';
import { SegmentTaker, StoredGenerations } from './segments/segment-taker.ts';
import type { Foundation } from './tables/foundation.ts';
import { Hints, WriterMark } from './tables/hints.ts';
import { ManifestTable } from './tables/manifest-table.ts';
import type { Protocol } from './tables/protocol.ts';
import { SidecarMemory, SidecarTable } from './tables/sidecar-table.ts';

/** What an open store remembers from one call to the next. */
export class StoreMemory {
  readonly link: Link = { isDown: false };
  readonly sidecars = new SidecarMemory();
  readonly generations = new StoredGenerations();
  readonly segments: SegmentCache;
  readonly mark: WriterMark;
  readonly lists = new ListMemory();
  readonly damage = new DamageMemory();
  readonly writers = new WriterMemory();

  constructor(randomness: Randomness, cacheBytes: number) {
    this.segments = segmentCache(cacheBytes);
    this.mark = new WriterMark(randomness);
  }
}

/**
 * The parts of the protocol as one call uses them. Whatever they ask of the service is bounded by
 * the call, so that nothing in them has to hand its signal and its deadline on.
 */
export class CallScope {
  readonly protocol: Protocol;
  readonly taker: SegmentTaker;
  readonly reader: SegmentReader;
  readonly hints: Hints;
  readonly index: ListIndex;
  readonly damage: DamageNotes;
  readonly writer: ObjectWriter;

  /** @param everyCall what stands for all calls. */
  constructor(
    everyCall: Omit<Foundation, 'call'>,
    memory: StoreMemory,
    call: Call,
    isWritable: boolean,
  ) {
    const store = new BoundedStore(everyCall.store, call, everyCall.clock, memory.link);
    const foundation: Foundation = { ...everyCall, store, call };
    this.protocol = {
      ...foundation,
      sidecars: new SidecarTable(foundation, memory.sidecars),
      manifests: new ManifestTable(foundation),
    };
    this.taker = new SegmentTaker(this.protocol, memory.generations);
    this.reader = new SegmentReader(this.protocol, memory.segments);
    this.hints = new Hints(foundation, memory.mark);
    this.index = new ListIndex(this.protocol, isWritable, memory.lists);
    this.damage = new DamageNotes(this.protocol, memory.damage);
    this.writer = new ObjectWriter(
      this.protocol,
      this.taker,
      this.hints,
      this.index,
      this.damage,
      memory.writers,
    );
  }
}
