import { throwIfAborted } from '../../core/abort.ts';
import { VarveError } from '../../core/errors.ts';
import type { Clock } from '../../core/system/clock.ts';
import type { RequestOptions } from './object-store.ts';

/** The slowest link that calls wait for, in bytes a second. */
export const SLOWEST_BYTES_PER_SECOND = 128 * 1024;

/**
 * What bounds one call of an open store. Every request made for it obeys the same signal and the
 * same deadline, tries, pauses and clean-up included.
 *
 * Long work (a collection, an audit, a listing, a stream that is stored) has no deadline of its
 * own: each of its *steps*, a request or the change of one object, is bounded like a call.
 */
export class Call {
  readonly signal: AbortSignal | undefined;
  readonly #clock: Pick<Clock, 'monotonic' | 'sleep'>;
  readonly #timeoutMs: number;
  /** Deadline of the call; `undefined` when each step has its own. */
  #deadline: number | undefined;

  private constructor(
    clock: Pick<Clock, 'monotonic' | 'sleep'>,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    isLong: boolean,
  ) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.signal = signal;
    this.#deadline = isLong ? undefined : clock.monotonic() + timeoutMs;
  }

  /** A call that has to end `timeoutMs` from now. */
  static short(
    clock: Pick<Clock, 'monotonic' | 'sleep'>,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Call {
    return new Call(clock, timeoutMs, signal, false);
  }

  /** Work of many steps, each of which has to end `timeoutMs` after it began. */
  static long(
    clock: Pick<Clock, 'monotonic' | 'sleep'>,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Call {
    return new Call(clock, timeoutMs, signal, true);
  }

  /** What bounds a step that begins now. */
  step(): Required<Pick<RequestOptions, 'deadline'>> & RequestOptions {
    const deadline = this.#deadline ?? this.#clock.monotonic() + this.#timeoutMs;
    return this.signal === undefined ? { deadline } : { deadline, signal: this.signal };
  }

  /** Extends the deadline by the time that a slow link takes for these bytes. */
  moved(bytes: number): void {
    if (this.#deadline !== undefined) this.#deadline += (bytes / SLOWEST_BYTES_PER_SECOND) * 1000;
  }

  /**
   * Waits for something that other calls of this process do.
   *
   * @throws `BUSY` when the time of the call is over before; `ABORTED`.
   */
  async wait(promise: Promise<unknown>, what: string): Promise<void> {
    const { deadline, signal } = this.step();
    throwIfAborted(signal);
    const ended = new AbortController();
    const ending = signal === undefined ? ended.signal : AbortSignal.any([ended.signal, signal]);
    const over = this.#clock.sleep(Math.max(0, deadline - this.#clock.monotonic()), ending).then(
      () => {
        throw new VarveError(
          'BUSY',
          `${what}: another call of this process was not done in time; try again later`,
        );
      },
      () => {
        if (!ended.signal.aborted) throwIfAborted(signal);
      },
    );
    try {
      await Promise.race([promise, over]);
    } finally {
      ended.abort();
    }
  }
}

/** @throws `ABORTED`, or `UNAVAILABLE` once the deadline has passed. */
export function throwIfOver(
  { signal, deadline }: RequestOptions,
  clock: Pick<Clock, 'monotonic'>,
): void {
  throwIfAborted(signal);
  if (deadline === undefined || clock.monotonic() < deadline) return;
  throw new VarveError(
    'UNAVAILABLE',
    'the call took longer than it may: try again later, or give it more time (timeoutMs)',
  );
}
