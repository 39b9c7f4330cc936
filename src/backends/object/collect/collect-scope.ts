import { hash } from 'node:crypto';
import { throwIfAborted } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import type { Clock } from '../../../core/system/clock.ts';
import type { CollectSettings, ProgressCallback } from '../../contract/collection.ts';

/** The shard, the deadline and the concurrency of a collection, and what kind of run it is. */
export class CollectScope {
  readonly graceMs: number;
  readonly dryRun: boolean;
  readonly full: boolean;
  readonly erase: boolean;
  readonly concurrency: number;
  readonly signal: AbortSignal | undefined;
  /** Whether the deadline ended a step early. */
  isCut = false;
  readonly #shard: { readonly index: number; readonly count: number };
  readonly #deadline: number;
  readonly #clock: Clock;
  readonly #onProgress: ProgressCallback | undefined;

  constructor(options: CollectSettings, clock: Clock) {
    const { erase, full, graceMs, dryRun, signal } = options;
    const { concurrency = Number.POSITIVE_INFINITY } = options;
    this.graceMs = erase ? 0 : graceMs;
    this.dryRun = dryRun;
    this.full = full || erase;
    this.erase = erase;
    this.concurrency = concurrency;
    this.signal = signal;
    this.#shard = options.shard ?? { index: 0, count: 1 };
    this.#clock = clock;
    this.#deadline = clock.monotonic() + options.deadlineMs;
    this.#onProgress = options.onProgress;
  }

  /** An address is a hash, so shards are disjoint, and about equal in size. */
  hasSegment(address: Address): boolean {
    return Number.parseInt(address.slice(0, 8), 16) % this.#shard.count === this.#shard.index;
  }

  hasObject(key: string): boolean {
    if (this.#shard.count === 1) return true;
    return (
      Number.parseInt(hash('sha256', key, 'hex').slice(0, 8), 16) % this.#shard.count ===
      this.#shard.index
    );
  }

  /** Whether no further step may begin. @throws `ABORTED`. */
  isOver(): boolean {
    throwIfAborted(this.signal);
    if (this.#clock.monotonic() < this.#deadline) return false;
    this.isCut = true;
    return true;
  }

  progress(phase: string, done: number): void {
    this.#onProgress?.({ phase, done, total: done });
  }
}
