import type { Address } from '../../../core/address.ts';
import { VarveError } from '../../../core/errors.ts';
import type { ManifestKey, NewSegment, WriteOutcome } from '../../contract/manifests.ts';
import { manifestObjectKey, referrerOf } from '../format/keys.ts';
import {
  type ArchivedAt,
  type DraftContent,
  type DroppedReference,
  type ManifestContent,
  type PendingAttempt,
  type RecordChange,
  type Reference,
  withDropped,
} from '../format/manifest-record.ts';
import { type AttemptId, type Generation, type Token, tokenOf } from '../format/sidecar.ts';
import { neededBy, spill } from '../format/spill.ts';
import type { Taken } from '../segments/segment-taker.ts';
import { NOTHING_SEEN, type SeenRecord } from '../tables/manifest-table.ts';
import { fold, type PlacedWrite } from './fold.ts';

/** What a job would make of the record that it saw. */
export interface Plan {
  /** What it was made on: it holds for this content only. */
  readonly base: ManifestContent | undefined;
  readonly isChanged: boolean;
  readonly content: DraftContent | undefined;
  readonly outcomes: ReadonlyMap<number, WriteOutcome>;
  /** Segments whose references have yet to be taken. */
  readonly missing: ReadonlyMap<Address, NewSegment>;
  /**
   * What the writes name and the content references already: they may not succeed before its data
   * was looked at (rule `trust-only-seen-data`).
   */
  readonly reused: ReadonlyMap<Address, Generation>;
}

/**
 * A manifest that is created may have so many times the inline bytes of one that is written again.
 */
const SPILL_FACTOR_OF_NEW = 16;

/** One attempt after the other to apply writes to one manifest. */
export class ManifestJob {
  readonly key: ManifestKey;
  readonly objectKey: string;
  readonly referrer: string;
  writes: readonly PlacedWrite[];
  /** What the last look at the object found. */
  seen: SeenRecord = NOTHING_SEEN;
  /** Whether there was such a look: until then, absence is a guess. */
  isFresh = false;
  /** Names the attempt under way; its tokens and its entry in `pending` bear it. */
  attempt: AttemptId;
  /** References that the attempt has taken. */
  readonly taken = new Map<Address, Taken>();
  /** Generations without data, though the content references them. */
  readonly lost = new Map<Address, Generation>();
  /** Writes that failed for a segment of theirs. */
  readonly failures = new Map<number, WriteOutcome>();
  /** Set once the writes have happened, or have nothing to do. */
  outcomes: ReadonlyMap<number, WriteOutcome> | undefined;
  /** Set when it is not known whether the writes have happened. */
  failure: VarveError | undefined;
  readonly #archived: ArchivedAt;

  constructor(
    key: ManifestKey,
    writes: readonly PlacedWrite[],
    attempt: AttemptId,
    archived: ArchivedAt,
  ) {
    this.key = key;
    this.objectKey = manifestObjectKey(key);
    this.referrer = referrerOf(this.objectKey);
    this.writes = writes;
    this.attempt = attempt;
    this.#archived = archived;
  }

  get token(): Token {
    return tokenOf(this.referrer, this.attempt);
  }

  get pending(): PendingAttempt | undefined {
    return this.seen.record?.pending.find(({ attempt }) => attempt === this.attempt);
  }

  /**
   * Whether the attempt took references that it can never commit, because its entry in `pending` is
   * gone.
   */
  get isFenced(): boolean {
    return this.taken.size > 0 && this.pending === undefined;
  }

  plan(now: number, spillAbove: number): Plan {
    const current = this.seen.record?.current;
    const writes = this.writes.filter(({ position }) => !this.failures.has(position));
    const lost = this.#lostOf(current);
    const folded = fold(current, writes, {
      key: this.key,
      nonce: this.attempt,
      now,
      archived: this.#archived,
      lost,
    });
    const outcomes = new Map([...folded.outcomes, ...this.failures]);
    const reused = new Map<Address, Generation>();
    for (const address of folded.named) {
      const reference = current?.references.get(address);
      if (reference !== undefined && !lost.has(address)) reused.set(address, reference.gen);
    }
    if (!folded.isChanged || folded.content === undefined) {
      return { ...folded, base: current, outcomes, missing: new Map(), reused };
    }
    const { content, sources } = spill(
      folded.content,
      current === undefined ? spillAbove * SPILL_FACTOR_OF_NEW : spillAbove,
    );
    const missing = new Map<Address, NewSegment>();
    for (const entry of content.entries) {
      for (const address of neededBy(entry)) {
        const reference = current?.references.get(address);
        const isGiven = folded.sources.has(address) || sources.has(address);
        if (reference !== undefined && sources.has(address) && !lost.has(address))
          reused.set(address, reference.gen);
        // What no write of these brings stays as it is.
        const isKept = reference !== undefined && !(lost.has(address) && isGiven);
        if (isKept || this.taken.has(address)) continue;
        missing.set(address, sourceOf(address, folded.sources, sources));
      }
    }
    return { base: current, isChanged: true, content, outcomes, missing, reused };
  }

  /**
   * The record with what the attempt takes added to its `pending` (rule `announce-before-taking`).
   */
  announcing(adds: Iterable<Address>, beat: string, leaseMs: number): RecordChange {
    const { current, pending = [], dropped = [] } = this.seen.record ?? {};
    const announced = new Set([...(this.pending?.adds ?? []), ...adds]);
    const own: PendingAttempt = {
      attempt: this.attempt,
      beat,
      heartbeatTimeoutMs: leaseMs,
      adds: [...announced],
    };
    return {
      current,
      pending: [...pending.filter(({ attempt }) => attempt !== this.attempt), own],
      dropped,
    };
  }

  /**
   * The record with the content committed: the references that nothing needs any more, of the
   * content before and of the attempt, go to `dropped` in the same swap (rules
   * `fence-before-dropping` and `drop-what-is-replaced`).
   */
  committing(content: DraftContent | undefined): {
    change: RecordChange;
    dropped: readonly DroppedReference[];
  } {
    const { current: before, pending = [], dropped: undone = [] } = this.seen.record ?? {};
    const current = content && this.#withReferences(content, before);
    const dropped: DroppedReference[] = [];
    for (const [address, { attempt }] of before?.references ?? []) {
      if (current?.references.get(address)?.attempt !== attempt) dropped.push({ address, attempt });
    }
    for (const address of this.pending?.adds ?? []) {
      if (current?.references.get(address)?.attempt !== this.attempt)
        dropped.push({ address, attempt: this.attempt });
    }
    const others = pending.filter(({ attempt }) => attempt !== this.attempt);
    return {
      change: { current, pending: others, dropped: withDropped(undone, dropped) },
      dropped,
    };
  }

  #withReferences(content: DraftContent, before: ManifestContent | undefined): ManifestContent {
    const references = new Map<Address, Reference>();
    const lost = this.#lostOf(before);
    for (const entry of content.entries) {
      for (const address of neededBy(entry)) {
        const renewed = lost.has(address) ? this.#taken(address) : undefined;
        const reference = renewed ?? before?.references.get(address) ?? this.#taken(address);
        if (reference === undefined)
          throw new VarveError(
            'INTERNAL',
            `segment ${address} is to be committed without a reference`,
          );
        references.set(address, reference);
      }
    }
    return { ...content, references };
  }

  /** What is lost of that content. */
  #lostOf(content: ManifestContent | undefined): ReadonlySet<Address> {
    const isLost = ([address, gen]: [Address, Generation]) =>
      content?.references.get(address)?.gen === gen;
    return new Set([...this.lost].filter(isLost).map(([address]) => address));
  }

  /**
   * A reference that the attempt took and may commit: its `pending`, which names it, still stands
   * (rules `announce-before-taking` and `fence-before-dropping`).
   */
  #taken(address: Address): Reference | undefined {
    const taken = this.taken.get(address);
    return taken && this.pending?.adds.includes(address)
      ? { gen: taken.gen, attempt: this.attempt }
      : undefined;
  }

  /** Begins anew after the attempt was fenced: its tokens are somebody else's to drop. */
  restart(attempt: AttemptId): void {
    this.attempt = attempt;
    this.taken.clear();
  }

  /**
   * Whether a plan still holds: the content is what it was made on, and the attempt may commit.
   * Renewing a lease may have found otherwise (rules `fence-before-dropping` and
   * `judge-what-is-replaced`).
   */
  isCurrent({ base }: Plan): boolean {
    return !this.isFenced && this.seen.record?.current === base;
  }

  /** Takes note of what the object is now. */
  sees(seen: SeenRecord): void {
    this.seen = seen;
    this.isFresh = true;
  }

  /** Marks every write that names a segment as failed with it. */
  failSegment(address: Address, outcome: WriteOutcome): void {
    for (const { position, write } of this.writes) {
      if (!('entries' in write) || this.failures.has(position)) continue;
      const names = write.entries.some(({ segments }) =>
        segments.some((segment) => segment.address === address),
      );
      if (names) this.failures.set(position, outcome);
    }
  }
}

function sourceOf(
  address: Address,
  given: ReadonlyMap<Address, NewSegment>,
  spilled: ReadonlyMap<Address, NewSegment>,
): NewSegment {
  return spilled.get(address) ?? given.get(address) ?? { address, encoding: 'bytes', bytes: null };
}
