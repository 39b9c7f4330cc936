import type { Backend } from '../backends/contract/backend.ts';
import {
  type CollectOptions,
  type CollectReport,
  type CollectWorkOptions,
  collectWorkKinds,
  type ProgressCallback,
} from '../backends/contract/collection.ts';
import { type AbortOptions, abortOf } from '../core/abort.ts';
import { type Duration, parseDuration } from '../core/duration.ts';
import type { OptionKinds } from '../core/options/option-kinds.ts';
import { declareOptions } from '../core/options/options.ts';
import { leaveCount } from './leave-count.ts';
import type { HistoryOptions, RunLog, RunReport } from './run-log.ts';
import { type Schedule, type ScheduleOptions, scheduleKinds, startSchedule } from './schedule.ts';

/** Options of a collection. */
export interface GarbageCollectionOptions extends CollectWorkOptions {
  /** How long a segment stays after its last reference is gone. Default: `24h`. */
  readonly grace?: Duration | undefined;
  /**
   * Start no further step after this long; the report then says `isComplete: false`. Default: no
   * limit.
   */
  readonly deadline?: Duration | undefined;
}

function collectionKinds(is: OptionKinds) {
  return { ...collectWorkKinds(is), grace: is.duration, deadline: is.duration };
}

const RUN_OPTIONS = declareOptions<GarbageCollectionOptions>()({ members: collectionKinds });

/** Options of a plan. */
export interface CollectionPlanOptions extends GarbageCollectionOptions {
  /** Plan an erasure, see {@link GarbageCollection.erase}. Default: false. */
  readonly erase?: boolean | undefined;
}

const PLAN_OPTIONS = declareOptions<CollectionPlanOptions>()({
  members: (is: OptionKinds) => ({ ...collectionKinds(is), erase: is.flag }),
});

/** How and when a schedule collects. */
export interface ScheduledCollectionOptions
  extends ScheduleOptions,
    Omit<GarbageCollectionOptions, 'signal'> {}

const SCHEDULE_OPTIONS = declareOptions<ScheduledCollectionOptions>()({
  required: ['every'],
  members: (is: OptionKinds) => ({ ...collectionKinds(is), ...scheduleKinds(is) }),
});

/** Options of an erasure. */
export interface ErasureOptions extends AbortOptions {
  /** Start no further step after this long; `remnants` then say so. Default: no limit. */
  readonly deadline?: Duration | undefined;
  readonly onProgress?: ProgressCallback | undefined;
}

export const ERASURE_OPTIONS = declareOptions<ErasureOptions>()({
  members: (is: OptionKinds) => ({
    deadline: is.duration,
    onProgress: is.callback<ProgressCallback>(),
    signal: is.signal,
  }),
});

/**
 * Deletes what has expired and collects what nothing references. Safe beside readers, writers and
 * other collections.
 */
export class GarbageCollection {
  readonly #backend: Backend;
  readonly #runs: RunLog;

  constructor(backend: Backend, runs: RunLog) {
    this.#backend = backend;
    this.#runs = runs;
  }

  /**
   * Returns what a run would do now; changes nothing, and stores no report.
   *
   * ```ts
   * const { collectedSegments, freedBytes } = await store.gc.plan({ grace: '24h' });
   * ```
   */
  async plan(options?: CollectionPlanOptions): Promise<CollectReport> {
    const given = PLAN_OPTIONS.read('gc.plan', options);
    const work = this.#runs.begin('gc');
    const collecting = { ...toCollectOptions(given), dryRun: true };
    return work.run(() => this.#backend.collect(work.watching(collecting)));
  }

  /**
   * Collects. May be aborted at any point: the next run continues from there. Stores a report in
   * the store.
   *
   * ```ts
   * const { isComplete } = await store.gc.run({ grace: '24h', deadline: '10min' });
   * if (!isComplete) console.log('the next run goes on');
   * ```
   */
  async run(options?: GarbageCollectionOptions): Promise<CollectReport> {
    const given = RUN_OPTIONS.read('gc.run', options);
    const collecting = toCollectOptions(given);
    return this.#runs.record('gc', given, async (work) => {
      const report = await this.#backend.collect(work.watching(collecting));
      const hasSeenAll = collecting.full && report.isComplete && !collecting.shard?.index;
      if (hasSeenAll) await leaveCount(this.#backend, abortOf(given.signal));
      return report;
    });
  }

  /**
   * Collects regularly, in this process, from now on. Runs never overlap; of several processes with
   * a schedule for one store, one runs.
   *
   * ```ts
   * const onError = (error: Error) => console.warn(error.message);
   * const schedule = store.gc.schedule({ every: '6h', onError });
   * process.once('SIGTERM', () => schedule.stop());
   * await schedule.ended;
   * ```
   *
   * @throws at the call `INVALID_ARGUMENT` for invalid options; `READ_ONLY`.
   */
  schedule(options: ScheduledCollectionOptions): Schedule {
    const given = SCHEDULE_OPTIONS.read('gc.schedule', options);
    const {
      every: _,
      jitter: __,
      onReport: ___,
      onError: ____,
      onSkip: _____,
      ...collecting
    } = given;
    return startSchedule(this.#backend, given, (signal) => this.run({ ...collecting, signal }));
  }

  /**
   * Returns the stored reports of collections, audits and prunes, newest first.
   *
   * ```ts
   * const [newest] = await store.gc.history({ limit: 1 });
   * console.log(newest?.operation, newest?.outcome);
   * ```
   */
  async history(options?: HistoryOptions): Promise<RunReport[]> {
    return this.#runs.history(options);
  }

  /**
   * Collects without a grace, and ends only when the bytes of everything deleted are gone from the
   * store's files. The report's `remnants` list where that failed; an empty list means that nothing
   * is left.
   *
   * ```ts
   * const { remnants = [] } = await store.gc.erase();
   * for (const { location, reason } of remnants) console.warn(location, reason);
   * ```
   */
  async erase(options?: ErasureOptions): Promise<CollectReport> {
    const given = ERASURE_OPTIONS.read('gc.erase', options);
    const collecting = { ...toCollectOptions(given), erase: true };
    return this.#runs.record('gc', { ...given, erase: true }, async (work) =>
      withUnfinished(await this.#backend.collect(work.watching(collecting))),
    );
  }
}

/**
 * An erasure that the deadline ended has not checked what is left, so its empty list means nothing.
 */
function withUnfinished(report: CollectReport): CollectReport {
  if (report.isComplete || (report.remnants?.length ?? 0) > 0) return report;
  return {
    ...report,
    remnants: [{ location: 'the store', reason: 'the deadline came first: erase again' }],
  };
}

function toCollectOptions({ grace, deadline, ...options }: CollectionPlanOptions): CollectOptions {
  return {
    ...options,
    ...(grace !== undefined && { graceMs: parseDuration(grace) }),
    ...(deadline !== undefined && { deadlineMs: parseDuration(deadline) }),
  };
}
