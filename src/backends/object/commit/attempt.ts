import type { Address } from '../../../core/address.ts';
import { VarveError } from '../../../core/errors.ts';
import type { ManifestKey, NewSegment } from '../../contract/manifests.ts';
import { manifestObjectKey, referrerOf } from '../format/keys.ts';
import {
  type DraftContent,
  type DroppedReference,
  type HeldReference,
  heldOf,
  type ManifestContent,
  nameOfReference,
  type PendingAttempt,
  type RecordChange,
  type Reference,
  withDropped,
} from '../format/manifest-record.ts';
import { type AttemptId, type Generation, type Token, tokenOf } from '../format/sidecar.ts';
import { neededByContent } from '../format/spill.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import type { Protocol } from '../tables/protocol.ts';

/** Segments whose references an attempt has yet to take. */
export interface Needs {
  readonly missing: ReadonlyMap<Address, NewSegment>;
}

/** What an attempt makes of the content that it saw. */
export interface Change {
  /** The new content; `undefined`: the manifest is deleted. */
  readonly content: DraftContent | undefined;
  /** The content that references are kept from: what was seen, or that without its pages. */
  readonly from: ManifestContent | undefined;
  /** References that new pages have. */
  readonly moved: readonly HeldReference[];
  /**
   * Pages that were read and are not needed any more, and what they reference: it stays where new
   * pages or the content have it, and is dropped otherwise. Any other page takes all that it
   * references with it.
   */
  readonly absorbed: ReadonlyMap<Address, readonly HeldReference[]>;
  /** Segments without data: references to them are renewed. */
  readonly lost: ReadonlySet<Address>;
}

/**
 * How far an attempt has come with a plan. Only `attempt-steps.ts` makes one phase of another, so
 * that nothing commits references that it has not announced and taken.
 */
interface Phase<Name extends string, Plan extends Needs> {
  readonly phase: Name;
  readonly attempt: Attempt;
  readonly plan: Plan;
}

/** Nothing is stored for the plan. */
export type Planned<Plan extends Needs = Needs> = Phase<'planned', Plan>;

/** The manifest's object names in `pending` every segment that the plan lacks. */
export type Announced<Plan extends Needs = Needs> = Phase<'announced', Plan>;

/** Every segment of the plan is stored, and its sidecar has a token of the attempt or is hot. */
export type Taken<Plan extends Needs = Needs> = Phase<'taken', Plan>;

/** The manifest's object has the content of the plan. */
export type Committed<Plan extends Needs = Needs> = Phase<'committed', Plan>;

/**
 * An attempt to write one manifest: what it has seen of the manifest's object, and the references
 * that it has taken. Others may *fence* it, that is, remove its entry from `pending`: then it can
 * never commit what it took, and begins again under another id.
 */
export class Attempt {
  readonly key: ManifestKey;
  readonly objectKey: string;
  readonly #protocol: Protocol;
  readonly #referrer: string;
  readonly #guess: SeenRecord;
  #id: AttemptId;
  #seen: SeenRecord | undefined;
  readonly #taken = new Map<Address, Generation>();

  constructor(protocol: Protocol, key: ManifestKey) {
    this.key = key;
    this.objectKey = manifestObjectKey(key);
    this.#protocol = protocol;
    this.#referrer = referrerOf(this.objectKey);
    this.#guess = protocol.manifests.guess(this.objectKey);
    this.#id = protocol.randomness.nonce() as AttemptId;
  }

  /** Names its tokens and its entry in `pending`. */
  get id(): AttemptId {
    return this.#id;
  }

  get token(): Token {
    return tokenOf(this.#referrer, this.#id);
  }

  /**
   * What the last look at the object found; before the first, what this process has read last, or
   * absence, is a guess.
   */
  get seen(): SeenRecord {
    return this.#seen ?? this.#guess;
  }

  get hasLooked(): boolean {
    return this.#seen !== undefined;
  }

  get pending(): PendingAttempt | undefined {
    return this.seen.record?.pending.find(({ attempt }) => attempt === this.#id);
  }

  /** Whether it took references that it can never commit, as its entry in `pending` is gone. */
  get isFenced(): boolean {
    return this.#taken.size > 0 && this.pending === undefined;
  }

  hasTaken(address: Address): boolean {
    return this.#taken.has(address);
  }

  /**
   * Whether it may commit a plan that was made on this content. A heartbeat may have found
   * otherwise (rules `fence-before-dropping` and `judge-what-is-replaced`).
   */
  canReplace(base: ManifestContent | undefined): boolean {
    return !this.isFenced && this.seen.record?.current === base;
  }

  /** Looks at the object. */
  async look(): Promise<void> {
    this.#seen = await this.#protocol.manifests.read(this.key);
  }

  /** Replaces the object that it saw; otherwise sees what is there. Returns whether it replaced. */
  async swap(change: RecordChange): Promise<boolean> {
    const { isStored, seen } = await this.#protocol.manifests.swap(this.key, this.seen, change);
    this.#seen = seen;
    return isStored;
  }

  /** Records that a sidecar has its token, or is hot, at that generation. */
  took(address: Address, generation: Generation): void {
    this.#taken.set(address, generation);
  }

  /**
   * Begins again after it was fenced. Returns the references that nobody else drops: they may have
   * been taken after it was fenced.
   */
  restart(): DroppedReference[] {
    const attempt = this.#id;
    const dropped = [...this.#taken.keys()].map((address) => ({ address, attempt }));
    this.#id = this.#protocol.randomness.nonce() as AttemptId;
    this.#taken.clear();
    return dropped;
  }

  /** The record with segments added to its `pending` (rule `announce-before-taking`). */
  announcing(segments: Iterable<Address>): RecordChange {
    const { randomness, settings } = this.#protocol;
    const { current, pending = [], dropped = [] } = this.seen.record ?? {};
    const own: PendingAttempt = {
      attempt: this.#id,
      beat: randomness.nonce(),
      heartbeatTimeoutMs: settings.leaseMs,
      adds: [...new Set([...(this.pending?.adds ?? []), ...segments])],
    };
    return { current, pending: [...this.#othersOf(pending), own], dropped };
  }

  /**
   * The record with the content committed. References that nothing needs any more, of the content
   * before and of the attempt, go to `dropped` in the same swap (rules `fence-before-dropping` and
   * `drop-what-is-replaced`).
   */
  committing({ content, from, moved, absorbed, lost }: Change): {
    change: RecordChange;
    dropped: readonly DroppedReference[];
  } {
    const { current: before, pending = [], dropped: earlier = [] } = this.seen.record ?? {};
    const current = content && this.#withReferences(content, from, lost);
    const kept = new Set(
      [...heldOf(current?.references ?? new Map()), ...moved].map(nameOfReference),
    );
    const pages = new Set(before?.pages.map(({ address }) => address));
    const dropped: DroppedReference[] = [];
    for (const { address, gen, attempt } of heldOf(before?.references ?? new Map())) {
      if (kept.has(nameOfReference({ address, attempt }))) continue;
      const goesWhole = pages.has(address) && !absorbed.has(address);
      dropped.push({ address, attempt, ...(goesWhole && { page: gen }) });
    }
    for (const { address, attempt } of [...absorbed.values()].flat()) {
      if (!kept.has(nameOfReference({ address, attempt }))) dropped.push({ address, attempt });
    }
    for (const address of this.pending?.adds ?? []) {
      if (current?.references.get(address)?.attempt !== this.#id)
        dropped.push({ address, attempt: this.#id });
    }
    const change = {
      current,
      pending: this.#othersOf(pending),
      dropped: withDropped(earlier, dropped),
    };
    return { change, dropped };
  }

  /** The record without its `pending`; what that names goes to `dropped`. */
  withdrawing({ adds }: PendingAttempt): {
    change: RecordChange;
    dropped: readonly DroppedReference[];
  } {
    const { current, pending = [], dropped: earlier = [] } = this.seen.record ?? {};
    const dropped = adds.map((address) => ({ address, attempt: this.#id }));
    const change = { current, pending: this.#othersOf(pending), dropped: [...earlier, ...dropped] };
    return { change, dropped };
  }

  #othersOf(pending: readonly PendingAttempt[]): PendingAttempt[] {
    return pending.filter(({ attempt }) => attempt !== this.#id);
  }

  #withReferences(
    content: DraftContent,
    from: ManifestContent | undefined,
    lost: ReadonlySet<Address>,
  ): ManifestContent {
    const references = new Map<Address, Reference>();
    for (const address of neededByContent(content)) {
      const renewed = lost.has(address) ? this.#reference(address) : undefined;
      const reference = renewed ?? from?.references.get(address) ?? this.#reference(address);
      if (reference === undefined)
        throw new VarveError(
          'INTERNAL',
          `segment ${address} is to be committed without a reference`,
        );
      references.set(address, reference);
    }
    return { ...content, references };
  }

  /**
   * A reference that it took and may commit: its `pending`, which names it, still stands (rules
   * `announce-before-taking` and `fence-before-dropping`).
   */
  #reference(address: Address): Reference | undefined {
    const gen = this.#taken.get(address);
    return gen !== undefined && this.pending?.adds.includes(address)
      ? { gen, attempt: this.#id }
      : undefined;
  }
}
