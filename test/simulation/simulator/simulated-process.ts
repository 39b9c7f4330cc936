import type { Clock, Randomness } from '../../../src/core/system/clock.ts';
import type { Scheduler } from './scheduler.ts';
import { SeededRandom } from './seeded-random.ts';

/** When simulations begin, in 2025. */
export const EPOCH = 1_750_000_000_000;

/** A process on a machine of its own: its clock, its random numbers, its crashes and pauses. */
export class SimulatedProcess implements Clock, Randomness {
  readonly name: string;
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly #skew: number;
  readonly #booted: number;
  #resumesAt = 0;
  isCrashed = false;
  requests = 0;

  constructor(name: string, scheduler: Scheduler, seed: number, stream: number, skewMs = 0) {
    this.name = name;
    this.#scheduler = scheduler;
    this.#random = new SeededRandom(seed, stream);
    this.#skew = skewMs;
    this.#booted = this.#random.between(0, 1_000_000);
  }

  monotonic(): number {
    return this.#booted + this.#scheduler.now;
  }

  now(): number {
    return EPOCH + this.#scheduler.now + this.#skew;
  }

  nonce(): string {
    return this.#random.name(12);
  }

  fraction(): number {
    return this.#random.fraction();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = () => {
        cancel();
        reject(signal?.reason);
      };
      const cancel = this.deliver(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** From now on the process does nothing. */
  crash(): void {
    this.isCrashed = true;
  }

  /** Stops the process for a time: what arrives meanwhile waits. */
  pause(ms: number): void {
    this.#resumesAt = this.#scheduler.now + ms;
  }

  /**
   * Lets something arrive at the process after `ms`: later if the process is paused, never if it
   * has crashed. Returns a function that cancels it.
   */
  deliver(ms: number, arrive: () => void): () => void {
    let cancel = (): void => {};
    const arriveAwake = (): void => {
      if (this.isCrashed) return;
      const wait = this.#resumesAt - this.#scheduler.now;
      if (wait > 0) cancel = this.#scheduler.after(wait, arriveAwake);
      else arrive();
    };
    cancel = this.#scheduler.after(ms, arriveAwake);
    return () => cancel();
  }
}
