import type { Clock } from '../../../src/core/system/clock.ts';

interface Sleeper {
  readonly until: number;
  readonly wake: () => void;
}

/** A clock that goes on to the next moment at which somebody wakes, as soon as all sleep. */
export class HastyClock implements Clock {
  /** What was slept, in ms, in order. */
  readonly sleeps: number[] = [];
  readonly #sleepers: Sleeper[] = [];
  #time = 0;

  monotonic(): number {
    return this.#time;
  }

  now(): number {
    return this.#time;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.sleeps.push(ms);
    await new Promise<void>((wake) => {
      this.#sleepers.push({ until: this.#time + ms, wake });
      // By then, whoever is awake has done what can be done without waiting.
      if (this.#sleepers.length === 1) setImmediate(() => this.#wakeNext());
    });
  }

  #wakeNext(): void {
    this.#sleepers.sort((a, b) => a.until - b.until);
    const next = this.#sleepers.shift();
    if (next === undefined) return;
    this.#time = next.until;
    next.wake();
    if (this.#sleepers.length > 0) setImmediate(() => this.#wakeNext());
  }
}
