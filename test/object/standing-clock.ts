import type { Clock } from '../../src/core/system/clock.ts';

/**
 * A clock that stands still until it is set, or somebody sleeps who does not wait for something
 * else to end.
 */
export class StandingClock implements Clock {
  /** With a fraction of a second, as services have that tell milliseconds. */
  time = Date.UTC(2026, 0, 31) + 123;

  monotonic(): number {
    return this.time;
  }

  now(): number {
    return this.time;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal === undefined) this.time += ms;
    else
      await new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
      );
  }
}
