import { throwIfAborted, VarveError } from '../../errors.ts';
import type { Clock, Randomness } from './clock.ts';
import type { Foundation } from './foundation.ts';

const FIRST_BOUND_MS = 20;
const LONGEST_BOUND_MS = 1000;

/**
 * Pauses between tries of one change: full jitter (any time up to a bound that doubles; Brooker, "Exponential Backoff And
 * Jitter", 2015), until a deadline.
 */
export class Backoff {
  readonly #clock: Clock;
  readonly #randomness: Randomness;
  readonly #deadline: number;
  #bound = FIRST_BOUND_MS;

  /** Until the settings' `timeoutMs` from now. */
  constructor({ clock, randomness, settings }: Pick<Foundation, 'clock' | 'randomness' | 'settings'>) {
    this.#clock = clock;
    this.#randomness = randomness;
    this.#deadline = clock.monotonic() + settings.timeoutMs;
  }

  get isOver(): boolean {
    return this.#clock.monotonic() >= this.#deadline;
  }

  /**
   * @throws `BUSY` when the deadline has passed, naming what was tried; `ABORTED`.
   */
  async pause(what: string, signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    if (this.isOver) throw new VarveError('BUSY', `${what}: others changed it all the time; try again later`);
    const wait = this.#randomness.fraction() * this.#bound;
    this.#bound = Math.min(LONGEST_BOUND_MS, this.#bound * 2);
    await this.#clock.sleep(wait, signal);
    throwIfAborted(signal);
  }
}
