import { throwIfAborted } from '../../../core/abort.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { isUnreadable, isVarveError, VarveError } from '../../../core/errors.ts';
import type { NewEntry, WriteOutcome } from '../../contract/manifests.ts';
import { Backoff } from '../tables/backoff.ts';
import type { Hints } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import type { AttemptSteps, Wanting } from './attempt-steps.ts';
import type { ManifestJob, Plan } from './manifest-job.ts';

interface Planned {
  readonly job: ManifestJob;
  readonly plan: Plan;
}

/**
 * Makes several manifests' writes happen, in steps that all take together, so that they share
 * requests: a sidecar that many need is changed once. A manifest whose object turns out to have
 * changed goes through the steps again.
 */
export class CommitBatch {
  readonly #protocol: Protocol;
  readonly #steps: AttemptSteps;
  readonly #hints: Hints;

  constructor(protocol: Protocol, steps: AttemptSteps, hints: Hints) {
    this.#protocol = protocol;
    this.#steps = steps;
    this.#hints = hints;
  }

  /**
   * Resolves with the outcomes by position. What concerns the store fails the writes that it kept
   * from happening.
   *
   * @throws it, when it kept all of them.
   */
  async run(jobs: readonly ManifestJob[]): Promise<Map<number, WriteOutcome>> {
    const backoff = new Backoff(this.#protocol);
    let failure: VarveError | undefined;
    try {
      let active = [...jobs];
      for (let round = 1; active.length > 0; round++) {
        if (round > 2) await backoff.pause('committing');
        throwIfAborted(this.#protocol.call.signal);
        await this.#round(active);
        active = active.filter(isUnsettled);
      }
    } catch (error) {
      failure =
        error instanceof VarveError
          ? error
          : new VarveError('INTERNAL', 'a commit broke', { cause: error });
      await this.#steps.abandon(jobs.filter(isUnsettled), failure);
    }
    await this.#steps.dropReferences();
    const thrown = jobs.find((job) => job.failure !== undefined)?.failure ?? failure;
    if (thrown !== undefined && jobs.every(({ outcomes }) => outcomes === undefined)) throw thrown;
    return this.#outcomes(jobs, failure);
  }

  async #round(jobs: readonly ManifestJob[]): Promise<void> {
    const planned = (await mapAll(jobs, (job) => failing(job, this.#plan(job)))).filter(
      (each) => each !== undefined,
    );
    for (const { job, plan } of planned)
      if (!plan.isChanged) await this.#settleUnchanged(job, plan);
    const changing = planned.filter(({ plan }) => plan.isChanged);
    const ready = changing.filter(({ plan }) => plan.missing.size === 0);
    const needy = changing.filter(({ plan }) => plan.missing.size > 0);
    const announced = await mapAll(needy, ({ job, plan }) =>
      failing(job, this.#steps.announce(job, plan.missing.keys())),
    );
    ready.push(...(await this.#take(needy.filter((_, at) => announced[at]))));
    throwIfAborted(this.#protocol.call.signal);
    await this.#commit(ready);
  }

  async #plan(job: ManifestJob): Promise<Planned> {
    const { clock, settings, manifests } = this.#protocol;
    this.#steps.checkFence(job);
    const makePlan = () => job.plan(Math.floor(clock.now()), settings.spillAbove);
    let plan = makePlan();
    if (!plan.isChanged && !job.isFresh) {
      // "Nothing to do" has to be true of what is stored, not of what was guessed.
      job.sees(await manifests.read(job.key));
      plan = makePlan();
    }
    while (await this.#steps.findLost(job, plan)) plan = makePlan();
    return { job, plan };
  }

  /**
   * Every write of the job failed or had nothing to do; what the attempt took meanwhile goes back.
   */
  async #settleUnchanged(job: ManifestJob, plan: Plan): Promise<void> {
    await this.#steps.abandon([job]);
    job.outcomes = plan.outcomes;
  }

  /** Returns those of which every segment is taken, and that nobody has changed meanwhile. */
  async #take(planned: readonly Planned[]): Promise<Planned[]> {
    const wanted = planned.flatMap(({ job, plan }) =>
      [...plan.missing.values()].map((segment): Wanting => ({ job, segment })),
    );
    const faulty = new Set<ManifestJob>();
    await this.#steps.take(wanted, ({ job, segment }, error) => {
      job.failSegment(segment.address, { status: 'failed', error });
      faulty.add(job);
    });
    return planned.filter(({ job, plan }) => !faulty.has(job) && job.isCurrent(plan));
  }

  async #commit(ready: readonly Planned[]): Promise<void> {
    const commits = ready.map(({ job, plan }) => ({ job, plan, ...job.committing(plan.content) }));
    await this.#hints.announceGarbage(
      commits.map(({ job, dropped }) => ({ objectKey: job.objectKey, dropped })),
    );
    await mapAll(commits, async ({ job, plan: { content } }) => {
      const expiresAt = content?.expiresAt;
      const before = job.seen.record?.current;
      // A collection may have removed the hint of what it found held.
      const isReleased = before?.hold !== undefined && content?.hold === undefined;
      if (expiresAt === undefined || (expiresAt === before?.expiresAt && !isReleased)) return;
      await this.#hints.announceExpiry(job.key, expiresAt);
    });
    await mapAll(commits, async ({ job, plan, ...committing }) => {
      try {
        if (await failing(job, this.#steps.commit(job, committing))) job.outcomes = plan.outcomes;
      } catch (error) {
        if (isVarveError(error, 'INTERNAL')) {
          // Refused before it was sent.
          await this.#steps.abandon([job]);
          job.outcomes = failedAll(job, error);
          return;
        }
        if (!isVarveError(error, 'OUTCOME_UNKNOWN')) throw error;
        // It may yet happen, so nothing is taken back (rule `never-guess-outcomes`). If it does
        // not, a collection fences the attempt.
        job.failure = error;
        this.#hints.keepWriter();
      }
    });
  }

  #outcomes(
    jobs: readonly ManifestJob[],
    failure: VarveError | undefined,
  ): Map<number, WriteOutcome> {
    const writes = jobs.flatMap((job) => job.writes.map((placed) => ({ ...placed, job })));
    const outcomes = new Map<number, WriteOutcome>();
    for (const { job, position, write } of writes.sort((a, b) => a.position - b.position)) {
      const outcome = job.outcomes?.get(position) ?? {
        status: 'failed' as const,
        error: job.failure ?? (failure as VarveError),
      };
      const isStoring =
        ['created', 'replaced', 'appended'].includes(outcome.status) && 'entries' in write;
      outcomes.set(position, isStoring ? { ...outcome, ...this.#newOf(write.entries) } : outcome);
    }
    return outcomes;
  }

  /** What a write stored new: the first that names a segment is told of it. */
  #newOf(entries: readonly NewEntry[]): { newSegments: number; newBytes: number } {
    let newSegments = 0;
    let newBytes = 0;
    for (const { address } of entries.flatMap(({ segments }) => segments)) {
      const length = this.#steps.stored.get(address);
      if (length === undefined) continue;
      this.#steps.stored.delete(address);
      newSegments++;
      newBytes += length;
    }
    return { newSegments, newBytes };
  }
}

/**
 * A manifest whose object cannot be read fails its own writes, and no others: then this resolves
 * with `undefined`.
 */
async function failing<Result>(
  job: ManifestJob,
  step: Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await step;
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    const advice = isVarveError(error, 'CORRUPT')
      ? new VarveError(
          'CORRUPT',
          `${error.message}; if no copy of that object is left, delete it with the means of ` +
            'the service, audit with repair, and write again',
          { cause: error },
        )
      : error;
    job.outcomes = failedAll(job, advice);
    return undefined;
  }
}

function failedAll(job: ManifestJob, error: VarveError): Map<number, WriteOutcome> {
  return new Map(job.writes.map(({ position }) => [position, { status: 'failed', error }]));
}

function isUnsettled({ outcomes, failure }: ManifestJob): boolean {
  return outcomes === undefined && failure === undefined;
}
