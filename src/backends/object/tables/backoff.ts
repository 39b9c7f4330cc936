import { throwIfAborted } from '../../../core/abort.ts';
import { VarveError } from '../../../core/errors.ts';
import type { Clock, Randomness } from '../../../core/system/clock.ts';
import type { RequestOptions } from '../../storage/object-store.ts';
import type { Foundation } from './foundation.ts';

const FIRST_BOUND_MS = 20;
const LONGEST_BOUND_MS = 1000;

/**
 * Pauses between tries of one change: full jitter (a random time up to a bound that doubles;
 * Brooker, "Exponential Backoff And Jitter", 2015), until a deadline.
 */
export class Backoff {
  readonly #clock: Clock;
  readonly #randomness: Randomness;
  readonly #bounds: RequestOptions & { readonly deadline: number };
  #bound = FIRST_BOUND_MS;

  /** @param bounds default: those of a step of the call that begins now. */
  constructor(
    { clock, randomness, call }: Pick<Foundation, 'clock' | 'randomness' | 'call'>,
    bounds = call.step(),
  ) {
    this.#clock = clock;
    this.#randomness = randomness;
    this.#bounds = bounds;
  }

  /** @throws `BUSY` when the deadline has passed, naming what was tried; `ABORTED`. */
  async pause(what: string): Promise<void> {
    const { signal, deadline } = this.#bounds;
    throwIfAborted(signal);
    const left = deadline - this.#clock.monotonic();
    if (left <= 0)
      throw new VarveError('BUSY', `${what}: others kept changing it; try again later`);
    const wait = Math.min(left, this.#randomness.fraction() * this.#bound);
    this.#bound = Math.min(LONGEST_BOUND_MS, this.#bound * 2);
    try {
      await this.#clock.sleep(wait, signal);
    } catch (cause) {
      throwIfAborted(signal);
      throw cause;
    }
    throwIfAborted(signal);
  }
}
