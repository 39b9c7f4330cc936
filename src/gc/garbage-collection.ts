import type { Backend, CollectOptions, CollectReport } from '../backends/backend.ts';
import { type Duration, parseDuration } from '../duration.ts';

export interface GarbageCollectionOptions extends Omit<CollectOptions, 'graceMs' | 'deadlineMs' | 'dryRun' | 'erase'> {
  /** How long a segment stays after its last reference is gone. Default: `24h`. */
  readonly grace?: Duration;
  /** Begin no further step after this long; the report then says `isComplete: false`. Default: no limit. */
  readonly deadline?: Duration;
}

/** Deletes what has expired and collects what nothing references. Safe beside readers, writers and other collections. */
export class GarbageCollection {
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** What a run would do now; changes nothing. */
  plan(options: GarbageCollectionOptions = {}): Promise<CollectReport> {
    return this.#backend.collect({ ...toCollectOptions(options), dryRun: true });
  }

  /** Collects. May be aborted at any point: the next run goes on from there. */
  run(options: GarbageCollectionOptions = {}): Promise<CollectReport> {
    return this.#backend.collect(toCollectOptions(options));
  }

  /**
   * Collects without a grace, and does not end before the bytes of all that was deleted are gone from the store's files.
   * The report's `remnants` tell where that could not be done; nothing there means nothing is left.
   */
  erase(options: ErasureOptions = {}): Promise<CollectReport> {
    return this.#backend.collect({ ...toCollectOptions(options), erase: true });
  }
}

export type ErasureOptions = Pick<CollectOptions, 'signal' | 'onProgress'> & Pick<GarbageCollectionOptions, 'deadline'>;

function toCollectOptions({ grace, deadline, ...options }: GarbageCollectionOptions): CollectOptions {
  return {
    ...options,
    ...(grace !== undefined && { graceMs: parseDuration(grace) }),
    ...(deadline !== undefined && { deadlineMs: parseDuration(deadline) }),
  };
}
