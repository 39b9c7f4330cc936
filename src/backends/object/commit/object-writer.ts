import { throwIfAborted } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { KeyedMutex } from '../../../core/collections/keyed-mutex.ts';
import { isVarveError } from '../../../core/errors.ts';
import type {
  ManifestFields,
  ManifestKey,
  ManifestWrite,
  NewEntry,
  NewSegment,
  WriteOutcome,
} from '../../contract/manifests.ts';
import type { PublishWrite } from '../../contract/write-intake.ts';
import { manifestObjectKey } from '../format/keys.ts';
import type { ArchivedAt } from '../format/manifest-record.ts';
import type { HeadIndex } from '../heads/head-index.ts';
import type { DamageNotes } from '../listing/damage-notes.ts';
import type { ListIndex } from '../listing/list-index.ts';
import type { SegmentTaker } from '../segments/segment-taker.ts';
import type { Hints } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import { Attempt } from './attempt.ts';
import type { AttemptContext } from './attempt-steps.ts';
import { CommitJournal } from './commit-journal.ts';
import type { PlacedWrite } from './fold.ts';
import { ObjectCommit } from './object-commit.ts';
import { publishStream } from './publication.ts';
import { StoredGuess } from './stored-guess.ts';
import { WritePlanner } from './write-planner.ts';

/** What all calls of an open store share of its writers. */
export class WriterMemory {
  /** Manifests that are being written. */
  readonly mutex = new KeyedMutex();
  readonly guess = new StoredGuess();
  lastArchived: ArchivedAt = [0, 0];
}

/** Everything that changes manifests: commits, and streams that end in one. */
export class ObjectWriter {
  readonly #protocol: Protocol;
  readonly #taker: SegmentTaker;
  readonly #hints: Hints;
  readonly #index: ListIndex;
  readonly #heads: HeadIndex;
  readonly #damage: DamageNotes;
  readonly #memory: WriterMemory;

  constructor(
    protocol: Protocol,
    taker: SegmentTaker,
    hints: Hints,
    index: ListIndex,
    heads: HeadIndex,
    damage: DamageNotes,
    memory: WriterMemory,
  ) {
    this.#memory = memory;
    this.#protocol = protocol;
    this.#taker = taker;
    this.#hints = hints;
    this.#index = index;
    this.#heads = heads;
    this.#damage = damage;
  }

  /** As `Backend.commit`. */
  async commit(writes: readonly ManifestWrite[]): Promise<WriteOutcome[]> {
    const { signal } = this.#protocol.call;
    throwIfAborted(signal);
    const outcomes: WriteOutcome[] = [];
    const planners = this.#planners(writes);
    if (planners.length === 0) return outcomes;
    // Writers of one manifest in one process take turns: otherwise they would only make each other
    // retry.
    const unlock = await this.#memory.mutex.lock(
      planners.map(({ attempt }) => attempt.objectKey),
      (before) => this.#protocol.call.wait(before, 'waiting to write'),
    );
    const context = this.#context();
    try {
      throwIfAborted(signal);
      const done = await new ObjectCommit(context).run(planners);
      context.journal.settle();
      for (const [position, outcome] of done) outcomes[position] = outcome;
    } finally {
      unlock();
    }
    await this.#afterwards(
      context,
      planners.map(({ attempt }) => attempt),
      planners.flatMap((planner) => planner.writes.map(({ write }) => write)),
    );
    return outcomes;
  }

  /** As `Backend.publish`. */
  async publish(
    write: PublishWrite,
    entries: AsyncIterable<NewEntry>,
    fields: () => ManifestFields,
  ): Promise<WriteOutcome> {
    const archived = this.#nextArchived(1);
    const attempt = new Attempt(this.#protocol, write.key);
    const context = this.#context();
    const outcome = await publishStream(context, attempt, archived, write, entries, fields);
    context.journal.settle();
    await this.#afterwards(context, [attempt], []);
    return outcome;
  }

  /** A planner for each manifest that the writes concern. */
  #planners(writes: readonly ManifestWrite[]): WritePlanner[] {
    const byKey = new Map<string, { key: ManifestKey; writes: PlacedWrite[] }>();
    for (const [position, write] of writes.entries()) {
      const { key } = write;
      const objectKey = manifestObjectKey(key);
      const known = byKey.get(objectKey);
      if (known === undefined) byKey.set(objectKey, { key, writes: [{ position, write }] });
      else known.writes.push({ position, write });
    }
    const archived = this.#nextArchived(writes.length);
    return [...byKey.values()].map(
      (each) => new WritePlanner(new Attempt(this.#protocol, each.key), each.writes, archived),
    );
  }

  /** The first of this many consecutive places. */
  #nextArchived(writes: number): ArchivedAt {
    const [ms, count] = this.#memory.lastArchived;
    const now = this.#protocol.clock.now();
    const first: ArchivedAt = now > ms ? [now, 0] : [ms, count];
    this.#memory.lastArchived = [first[0], first[1] + writes];
    return first;
  }

  #context(): AttemptContext {
    return {
      protocol: this.#protocol,
      taker: this.#taker,
      hints: this.#hints,
      guess: this.#memory.guess,
      journal: new CommitJournal(this.#heads),
      stored: new Map(),
      drops: [],
    };
  }

  /** What may be done once writes have happened; none of it can make them fail. */
  async #afterwards(
    { stored }: AttemptContext,
    attempts: readonly Attempt[],
    writes: readonly ManifestWrite[],
  ): Promise<void> {
    for (const { objectKey, seen } of attempts) {
      if (this.#heads.state === 'ready') break;
      if (seen.record !== undefined) this.#index.note(objectKey, seen.record, seen.etag);
    }
    try {
      await this.#index.flush();
      await this.#heads.flush();
      await this.#heal(writes, stored);
    } catch (error) {
      if (!isVarveError(error)) throw error;
    }
  }

  /**
   * Writes that changed nothing bring bytes, too: those that are damaged in the store are healed.
   *
   * @param stored segments that are new, and so not damaged.
   */
  async #heal(
    writes: readonly ManifestWrite[],
    stored: ReadonlyMap<Address, unknown>,
  ): Promise<void> {
    const sources = new Map<Address, NewSegment>();
    for (const write of writes) {
      if (!('entries' in write)) continue;
      for (const segment of write.entries.flatMap(({ segments }) => segments))
        if (segment.bytes !== null && !stored.has(segment.address))
          sources.set(segment.address, segment);
    }
    if (sources.size === 0) return;
    const damaged = await this.#damage.known();
    for (const [address, segment] of sources) {
      if (damaged.has(address) && (await this.#taker.heal(segment)))
        await this.#damage.remove(address);
    }
  }
}
