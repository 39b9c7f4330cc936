import { throwIfAborted } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { isUnreadable, isVarveError, VarveError } from '../../../core/errors.ts';
import type { NewEntry, WriteOutcome } from '../../contract/manifests.ts';
import { Backoff } from '../tables/backoff.ts';
import { lostPage } from '../tables/references.ts';
import type { Announced, Planned, Taken } from './attempt.ts';
import {
  type AttemptContext,
  abandon,
  announce,
  commit,
  drop,
  findLost,
  type Prepared,
  prepare,
  restartIfFenced,
  take,
} from './attempt-steps.ts';
import type { WritePlan, WritePlanner } from './write-planner.ts';

/**
 * A commit of several manifests. The words of this folder:
 *
 * - An *attempt* writes one manifest, under an id that is never used again.
 * - A *round* brings attempts from one phase to the next: *planned*, *announced*, *taken*,
 *   *committed*. Attempts whose object turns out to have changed go through another round.
 * - To *drop* a reference is to give it up: first the manifest's object says so, then the token
 *   leaves the sidecar.
 * - To *fence* an attempt is to remove it from `pending`, so that it can never commit. To *reap* is
 *   to fence what shows no heartbeat any more, and to drop what it took.
 *
 * All manifests go through each step together, so that they share requests: a sidecar that many
 * need is changed once.
 */
export class ObjectCommit {
  readonly #context: AttemptContext;
  /** Of writes that have happened, have nothing to do, or have failed. */
  readonly #outcomes = new Map<WritePlanner, ReadonlyMap<number, WriteOutcome>>();
  /** Of writes that may have happened. */
  readonly #unknown = new Map<WritePlanner, VarveError>();
  /** New segments that an outcome counts. */
  readonly #counted = new Set<Address>();

  constructor(context: AttemptContext) {
    this.#context = context;
  }

  /**
   * Resolves with the outcomes by position. A failure of the store fails the writes that it kept
   * from happening.
   *
   * @throws it, when it kept all of them.
   */
  async run(planners: readonly WritePlanner[]): Promise<Map<number, WriteOutcome>> {
    const { protocol, guess } = this.#context;
    const guessing = planners.filter((planner) => planner.guessesAbsence);
    const backoff = new Backoff(protocol);
    const isOpen = (planner: WritePlanner) =>
      !this.#outcomes.has(planner) && !this.#unknown.has(planner);
    let failure: VarveError | undefined;
    try {
      await guess.lookAhead(guessing, (planner) =>
        this.#unlessUnreadable(planner, planner.attempt.look()),
      );
      let open = planners.filter(isOpen);
      for (let round = 1; open.length > 0; round++) {
        if (round > 2) await backoff.pause('committing');
        throwIfAborted(protocol.call.signal);
        await this.#round(open);
        open = open.filter(isOpen);
      }
    } catch (error) {
      failure =
        error instanceof VarveError
          ? error
          : new VarveError('INTERNAL', 'a commit broke', { cause: error });
      const begun = planners.filter(isOpen).map(({ attempt }) => attempt);
      await abandon(this.#context, begun, failure);
    }
    guess.learn(guessing.map((planner) => this.#firstStatusOf(planner)));
    await drop(this.#context);
    const [thrown = failure] = planners.flatMap((planner) => this.#unknown.get(planner) ?? []);
    if (thrown !== undefined && this.#outcomes.size === 0) throw thrown;
    return this.#outcomesOf(planners, failure);
  }

  /**
   * The steps of a commit, in the order that makes them safe: if the process dies between two of
   * them, the next collection can finish or undo what was begun. When all rounds are over,
   * {@link run} drops what was replaced.
   */
  async #round(planners: readonly WritePlanner[]): Promise<void> {
    const planned = await this.#plan(planners);
    await this.#context.journal.writePlans(planned);
    const announced = await this.#announce(planned);
    const taken = await this.#take(announced);
    throwIfAborted(this.#context.protocol.call.signal);
    const prepared = await this.#prepare(taken);
    await this.#hint(prepared);
    await mapAll(prepared, (each) => this.#commit(each));
  }

  /** Returns those whose plan changes something; those that lack no segment come first. */
  async #plan(planners: readonly WritePlanner[]): Promise<Planned<WritePlan>[]> {
    const plans = await mapAll(planners, (planner) =>
      this.#unlessUnreadable(planner, this.#planOf(planner)),
    );
    const planned: Planned<WritePlan>[] = [];
    for (const plan of plans) {
      if (plan === undefined) continue;
      const { planner, isChanged, outcomes } = plan;
      const { attempt } = planner;
      if (isChanged) planned.push({ phase: 'planned', attempt, plan });
      else {
        // What the attempt took before is not needed any more.
        await abandon(this.#context, [attempt]);
        this.#outcomes.set(planner, outcomes);
      }
    }
    const lacksSegments = ({ plan }: Planned<WritePlan>) => plan.missing.size > 0;
    return [
      ...planned.filter((each) => !lacksSegments(each)),
      ...planned.filter((each) => lacksSegments(each)),
    ];
  }

  /** Returns a plan that does not use lost data again. */
  async #planOf(planner: WritePlanner): Promise<WritePlan> {
    const { attempt } = planner;
    restartIfFenced(this.#context, attempt);
    let plan = await this.#makePlan(planner);
    if (!plan.isChanged && !attempt.hasLooked) {
      // "Nothing to do" has to be true of what is stored, not of what was guessed.
      await attempt.look();
      plan = await this.#makePlan(planner);
    }
    for (;;) {
      const lost = await findLost(this.#context, plan);
      if (lost.length === 0) return plan;
      planner.lose(lost);
      plan = await this.#makePlan(planner);
    }
  }

  async #makePlan(planner: WritePlanner): Promise<WritePlan> {
    const { protocol } = this.#context;
    const { attempt } = planner;
    for (;;) {
      try {
        return await planner.plan(protocol);
      } catch (error) {
        if (!isVarveError(error, 'NOT_FOUND')) throw error;
        // A page is gone because the manifest has changed, or it is lost (rule
        // `reread-before-corruption`).
        const { etag } = attempt.seen;
        await attempt.look();
        planner.losePages(attempt.seen.etag === etag ? lostPage(error) : undefined);
      }
    }
  }

  async #announce(planned: readonly Planned<WritePlan>[]): Promise<Announced<WritePlan>[]> {
    const announced = await mapAll(planned, (each) =>
      this.#unlessUnreadable(each.plan.planner, announce(this.#context, each)),
    );
    return announced.filter((each) => each !== undefined);
  }

  /** Returns those that have all their segments and whose manifest nobody has changed. */
  async #take(announced: readonly Announced<WritePlan>[]): Promise<Taken<WritePlan>[]> {
    const taken = await take(this.#context, announced, ({ plan }, address, error) =>
      plan.planner.failSegment(address, error),
    );
    return taken.filter(({ attempt, plan }) => attempt.canReplace(plan.base));
  }

  async #prepare(taken: readonly Taken<WritePlan>[]): Promise<Prepared[]> {
    const prepared = await mapAll(taken, (each) =>
      this.#unlessUnreadable(each.plan.planner, prepare(this.#context, each)),
    );
    return prepared.filter((each) => each !== undefined);
  }

  /** Writes hints at garbage and at times to expire before the commits that make them true. */
  async #hint(prepared: readonly Prepared[]): Promise<void> {
    const { hints } = this.#context;
    await hints.announceGarbage(
      prepared.map(({ attempt: { objectKey }, garbage }) => ({ objectKey, dropped: garbage })),
    );
    await mapAll(prepared, async ({ attempt, plan: { base, content } }) => {
      const expiresAt = content?.expiresAt;
      // A collection may have removed the hint at a manifest that it found held.
      const isReleased = base?.hold !== undefined && content?.hold === undefined;
      if (expiresAt === undefined || (expiresAt === base?.expiresAt && !isReleased)) return;
      await hints.announceExpiry(attempt.key, expiresAt);
    });
  }

  async #commit(prepared: Prepared): Promise<void> {
    const { attempt, plan } = prepared;
    const { planner, outcomes } = plan;
    try {
      const step = commit(this.#context, prepared);
      const committed = await this.#unlessUnreadable(planner, step);
      if (committed !== undefined) this.#outcomes.set(planner, outcomes);
    } catch (error) {
      if (isVarveError(error, 'INTERNAL')) {
        // Refused before it was sent.
        await abandon(this.#context, [attempt]);
        this.#outcomes.set(planner, planner.failAll(error));
        return;
      }
      if (!isVarveError(error, 'OUTCOME_UNKNOWN')) throw error;
      // It may yet happen, so nothing is taken back (rule `never-guess-outcomes`). If it does not,
      // a collection fences the attempt.
      this.#unknown.set(planner, error);
      this.#context.hints.keepWriter();
    }
  }

  /**
   * A manifest whose object cannot be read fails its own writes, and no others: then this resolves
   * with `undefined`.
   */
  async #unlessUnreadable<Result>(
    planner: WritePlanner,
    step: Promise<Result>,
  ): Promise<Result | undefined> {
    try {
      return await step;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      this.#outcomes.set(planner, planner.failAll(withAdvice(error)));
      return undefined;
    }
  }

  #firstStatusOf(planner: WritePlanner): WriteOutcome['status'] | undefined {
    const [first] = planner.writes;
    return first && this.#outcomes.get(planner)?.get(first.position)?.status;
  }

  #outcomesOf(
    planners: readonly WritePlanner[],
    failure: VarveError | undefined,
  ): Map<number, WriteOutcome> {
    const writes = planners.flatMap((planner) =>
      planner.writes.map((placed) => ({ ...placed, planner })),
    );
    const outcomes = new Map<number, WriteOutcome>();
    for (const { planner, position, write } of writes.sort((a, b) => a.position - b.position)) {
      const outcome = this.#outcomes.get(planner)?.get(position) ?? {
        status: 'failed' as const,
        error: this.#unknown.get(planner) ?? (failure as VarveError),
      };
      const isStoring =
        ['created', 'replaced', 'appended'].includes(outcome.status) && 'entries' in write;
      outcomes.set(position, isStoring ? { ...outcome, ...this.#newOf(write.entries) } : outcome);
    }
    return outcomes;
  }

  /** What a write stored new. Where several name a segment, the first of them counts it. */
  #newOf(entries: readonly NewEntry[]): { newSegments: number; newBytes: number } {
    const { stored } = this.#context;
    let newSegments = 0;
    let newBytes = 0;
    for (const { address } of entries.flatMap(({ segments }) => segments)) {
      const length = stored.get(address);
      if (length === undefined || this.#counted.has(address)) continue;
      this.#counted.add(address);
      newSegments++;
      newBytes += length;
    }
    return { newSegments, newBytes };
  }
}

function withAdvice(error: VarveError): VarveError {
  if (!isVarveError(error, 'CORRUPT')) return error;
  return new VarveError(
    'CORRUPT',
    `${error.message}; if no copy of that object is left, delete it with the means of the ` +
      'service, audit with repair, and write again',
    { cause: error },
  );
}
