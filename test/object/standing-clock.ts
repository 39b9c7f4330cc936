import type { Clock } from '../../src/core/system/clock.ts';

/** A clock that stands until it is set. A sleep without a signal moves it on. */
export class StandingClock implements Clock {
  /** Not a whole second, as with services whose times have milliseconds. */
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
