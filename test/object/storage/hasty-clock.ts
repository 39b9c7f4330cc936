import type { Clock } from '../../../src/core/system/clock.ts';

interface Sleeper {
  readonly until: number;
  readonly wake: () => void;
}

/** A clock that jumps to the end of the next sleep as soon as all work sleeps. */
export class HastyClock implements Clock {
  /** All sleeps in order, in ms. */
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
      // By then, all other work waits as well.
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
