import type { Clock } from '../../../core/system/clock.ts';

/** Retries that one answered request earns. */
const EARNED_BY_SUCCESS = 0.1;

/**
 * A token bucket that all requests of a store share, so that an outage is met with a trickle of
 * retries and not with a storm. A retry takes a token; when there is none it waits for one.
 */
export class RetryBudget {
  readonly #clock: Clock;
  readonly #capacity: number;
  readonly #perSecond: number;
  #tokens: number;
  #filledAt: number;

  /**
   * @param capacity retries that need not wait.
   * @param perSecond retries a second after those.
   */
  constructor(clock: Clock, capacity: number, perSecond: number) {
    this.#clock = clock;
    this.#capacity = capacity;
    this.#perSecond = perSecond;
    this.#tokens = capacity;
    this.#filledAt = clock.monotonic();
  }

  /** Takes a token. Returns how long to wait for it, in ms. */
  take(): number {
    const now = this.#clock.monotonic();
    this.#add(((now - this.#filledAt) / 1000) * this.#perSecond);
    this.#filledAt = now;
    this.#tokens -= 1;
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#perSecond) * 1000;
  }

  /** Returns a token that was not used. */
  putBack(): void {
    this.#add(1);
  }

  /** Where most requests succeed, retries need not wait. */
  succeeded(): void {
    this.#add(EARNED_BY_SUCCESS);
  }

  #add(tokens: number): void {
    this.#tokens = Math.min(this.#capacity, this.#tokens + tokens);
  }
}
