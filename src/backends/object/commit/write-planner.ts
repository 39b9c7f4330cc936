import type { Address } from '../../../core/address.ts';
import type { VarveError } from '../../../core/errors.ts';
import type { NewSegment, WriteFailure, WriteOutcome } from '../../contract/manifests.ts';
import type { ArchivedAt, DraftContent, ManifestContent } from '../format/manifest-record.ts';
import type { Generation } from '../format/sidecar.ts';
import { neededBy, spill } from '../format/spill.ts';
import type { Attempt, Needs } from './attempt.ts';
import { fold, type PlacedWrite } from './fold.ts';

/** What writes would make of the content that an attempt saw. */
export interface WritePlan extends Needs {
  readonly planner: WritePlanner;
  /** The content that it was made on, and may replace. */
  readonly base: ManifestContent | undefined;
  readonly isChanged: boolean;
  readonly content: DraftContent | undefined;
  readonly outcomes: ReadonlyMap<number, WriteOutcome>;
  /**
   * What the writes name and the content references already: they may not succeed before its data
   * was looked at (rule `trust-only-seen-data`).
   */
  readonly reused: ReadonlyMap<Address, Generation>;
  /** Segments that the content references and that have no data. */
  readonly lost: ReadonlySet<Address>;
}

/** Bodies of a new manifest may have this many times the inline bytes of one written again. */
const SPILL_FACTOR_OF_NEW = 16;

/**
 * Plans the writes of one call to one manifest. Plans again whenever the content turns out to be
 * another, until one plan is committed.
 */
export class WritePlanner {
  readonly attempt: Attempt;
  readonly writes: readonly PlacedWrite[];
  readonly #archived: ArchivedAt;
  /** Generations without data. */
  readonly #lost = new Map<Address, Generation>();
  /** Writes that failed for a segment of theirs. */
  readonly #failures = new Map<number, WriteFailure>();

  constructor(attempt: Attempt, writes: readonly PlacedWrite[], archived: ArchivedAt) {
    this.attempt = attempt;
    this.writes = writes;
    this.#archived = archived;
  }

  /** Whether it plans to create the manifest although it has not looked whether there is one. */
  get guessesAbsence(): boolean {
    return !this.attempt.hasLooked && this.writes[0]?.write.operation === 'put';
  }

  plan(now: number, spillAbove: number): WritePlan {
    const { attempt } = this;
    const current = attempt.seen.record?.current;
    const writes = this.writes.filter(({ position }) => !this.#failures.has(position));
    const lost = this.#lostOf(current);
    const { key, id } = attempt;
    const folded = fold(current, writes, { key, attempt: id, now, archived: this.#archived, lost });
    const reused = new Map<Address, Generation>();
    const reuse = (address: Address) => {
      const reference = current?.references.get(address);
      if (reference !== undefined && !lost.has(address)) reused.set(address, reference.gen);
    };
    for (const address of folded.named) reuse(address);
    const outcomes = new Map([...folded.outcomes, ...this.#failures]);
    const missing = new Map<Address, NewSegment>();
    const plan = { ...folded, planner: this, base: current, outcomes, reused, lost, missing };
    if (!folded.isChanged || folded.content === undefined) return plan;
    const { content, sources } = spill(
      folded.content,
      current === undefined ? spillAbove * SPILL_FACTOR_OF_NEW : spillAbove,
    );
    for (const entry of content.entries) {
      for (const address of neededBy(entry)) {
        if (sources.has(address)) reuse(address);
        const given = sources.get(address) ?? folded.sources.get(address);
        // What is lost stays so unless these writes bring it.
        const isKept =
          current?.references.has(address) === true && (given === undefined || !lost.has(address));
        if (isKept || attempt.hasTaken(address)) continue;
        missing.set(address, given ?? { address, encoding: 'bytes', bytes: null });
      }
    }
    return { ...plan, content };
  }

  /** Later plans renew references to these generations, whose data is lost. */
  lose(generations: Iterable<readonly [Address, Generation]>): void {
    for (const [address, generation] of generations) this.#lost.set(address, generation);
  }

  /** Fails every write that names a segment. */
  failSegment(address: Address, error: VarveError): void {
    for (const { position, write } of this.writes) {
      if (!('entries' in write) || this.#failures.has(position)) continue;
      const isNamed = write.entries.some(({ segments }) =>
        segments.some((segment) => segment.address === address),
      );
      if (isNamed) this.#failures.set(position, { status: 'failed', error });
    }
  }

  /** Fails all writes. */
  failAll(error: VarveError): ReadonlyMap<number, WriteOutcome> {
    return new Map(this.writes.map(({ position }) => [position, { status: 'failed', error }]));
  }

  #lostOf(content: ManifestContent | undefined): ReadonlySet<Address> {
    const isLost = ([address, gen]: [Address, Generation]) =>
      content?.references.get(address)?.gen === gen;
    return new Set([...this.#lost].filter(isLost).map(([address]) => address));
  }
}
