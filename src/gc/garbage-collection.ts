import type { Backend } from '../backends/backend.ts';
import type { CollectOptions, CollectReport } from '../backends/maintenance.ts';
import { type Duration, parseDuration } from '../duration.ts';
import type { HistoryOptions, RunLog, RunReport } from './run-log.ts';
import { type Schedule, type ScheduleOptions, startSchedule } from './schedule.ts';

export interface GarbageCollectionOptions extends Omit<CollectOptions, 'graceMs' | 'deadlineMs' | 'dryRun' | 'erase'> {
  /** How long a segment stays after its last reference is gone. Default: `24h`. */
  readonly grace?: Duration;
  /** Begin no further step after this long; the report then says `isComplete: false`. Default: no limit. */
  readonly deadline?: Duration;
}

/** Deletes what has expired and collects what nothing references. Safe beside readers, writers and other collections. */
export class GarbageCollection {
  readonly #backend: Backend;
  readonly #runs: RunLog;

  constructor(backend: Backend, runs: RunLog) {
    this.#backend = backend;
    this.#runs = runs;
  }

  /** What a run would do now; changes nothing, and leaves no report. */
  plan(options: GarbageCollectionOptions & Pick<CollectOptions, 'erase'> = {}): Promise<CollectReport> {
    return this.#backend.collect({ ...toCollectOptions(options), dryRun: true });
  }

  /** Collects. May be aborted at any point: the next run goes on from there. Leaves a report in the store. */
  async run(options: GarbageCollectionOptions = {}): Promise<CollectReport> {
    const collecting = toCollectOptions(options);
    return this.#runs.record('gc', options, () => this.#backend.collect(collecting));
  }

  /**
   * Collects regularly, in this process, from now on. Runs never overlap; of several processes with a schedule for one store, one runs.
   *
   * ```ts
   * const schedule = store.gc.schedule({ every: '6h', onError: (error) => log.warn(error.message) });
   * …
   * await schedule.stop();
   * ```
   *
   * @throws `INVALID_ARGUMENT` for durations that cannot be; `READ_ONLY`.
   */
  schedule(options: ScheduleOptions & Omit<GarbageCollectionOptions, 'signal'>): Schedule {
    const { every: _, jitter: __, onReport: ___, onError: ____, onSkip: _____, ...collecting } = options;
    toCollectOptions(collecting);
    return startSchedule(this.#backend, options, (signal) => this.run({ ...collecting, signal }));
  }

  /** What collections, audits and prunes have left in the store, newest first. */
  history(options?: HistoryOptions): Promise<RunReport[]> {
    return this.#runs.history(options);
  }

  /**
   * Collects without a grace, and does not end before the bytes of all that was deleted are gone from the store's files.
   * The report's `remnants` tell where that could not be done; nothing there means nothing is left.
   */
  erase(options: ErasureOptions = {}): Promise<CollectReport> {
    const work = async () => withUnfinished(await this.#backend.collect({ ...toCollectOptions(options), erase: true }));
    return this.#runs.record('gc', { ...options, erase: true }, work);
  }
}

export type ErasureOptions = Pick<CollectOptions, 'signal' | 'onProgress'> & Pick<GarbageCollectionOptions, 'deadline'>;

/** An erasure that the deadline ended has not looked what is left: that it found nothing says nothing. */
function withUnfinished(report: CollectReport): CollectReport {
  if (report.isComplete || (report.remnants?.length ?? 0) > 0) return report;
  return { ...report, remnants: [{ location: 'the store', reason: 'the deadline came first: erase again' }] };
}

function toCollectOptions({ grace, deadline, ...options }: GarbageCollectionOptions): CollectOptions {
  return {
    ...options,
    ...(grace !== undefined && { graceMs: parseDuration(grace) }),
    ...(deadline !== undefined && { deadlineMs: parseDuration(deadline) }),
  };
}
