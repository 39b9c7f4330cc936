import type { Clock } from '../../core/system/clock.ts';

/**
 * The server's time between its answers. Ages are differences of server times, so that a wrong
 * clock here cannot make garbage look older than it is. The estimate never runs ahead of the
 * server.
 */
export class ServerClock {
  readonly #clock: Clock;
  #offset = Number.NEGATIVE_INFINITY;
  /**
   * S3 gives whole seconds: until a time with milliseconds is seen, times may be up to a second
   * late.
   */
  #isWholeSeconds = true;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Records the time in an answer. */
  observe(serverTime: number): void {
    // Truncation and latency make a sample too early, never too late: the latest one is the
    // nearest.
    this.#offset = Math.max(this.#offset, serverTime - this.#clock.monotonic());
    if (serverTime % 1000 !== 0) this.#isWholeSeconds = false;
  }

  /**
   * At or before the server's present time, in ms; by the local clock until the server has answered
   * once.
   */
  earliest(): number {
    return this.#offset === Number.NEGATIVE_INFINITY
      ? this.#clock.now()
      : this.#clock.monotonic() + this.#offset;
  }

  /**
   * At or after the server's present time but for latency: what a record says that time counts
   * from.
   */
  latest(): number {
    return this.earliest() + (this.#isWholeSeconds ? 1000 : 0);
  }
}
