import { abortOf, throwIfAborted } from '../../../core/abort.ts';
import { isVarveError, VarveError } from '../../../core/errors.ts';
import type { OnEvent } from '../../../core/events.ts';
import type { Clock, Randomness } from '../../../core/system/clock.ts';
import { throwIfOver } from '../call.ts';
import type { RequestOptions } from '../object-store.ts';
import type { RequestMeter } from '../request-meter.ts';
import { ServiceFault } from '../service-fault.ts';
import { RetryBudget } from './retry-budget.ts';

export interface RetryPolicy {
  /**
   * Time for a request without a deadline of its own, from its first try on, in ms. Default:
   * 60,000.
   */
  readonly deadlineMs: number;
  /**
   * The first pause is a random time up to this many ms, and the bound doubles with each. Default:
   * 50.
   */
  readonly firstPauseMs: number;
  /** The bound never grows above this many ms. Default: 5,000. */
  readonly longestPauseMs: number;
  /** Retries of all requests together that need not wait for their turn. Default: 100. */
  readonly retriesAtOnce: number;
  /** Retries a second after those. Default: 10. */
  readonly retriesPerSecond: number;
}

const DEFAULT_RETRY_POLICY: RetryPolicy = {
  deadlineMs: 60_000,
  firstPauseMs: 50,
  longestPauseMs: 5000,
  retriesAtOnce: 100,
  retriesPerSecond: 10,
};

export interface RetryComponents {
  readonly clock: Clock;
  readonly randomness: Pick<Randomness, 'fraction'>;
  /** Counts the retries. Default: none does. */
  readonly meter?: RequestMeter;
  /** Called before each pause. Default: not. */
  readonly onEvent?: OnEvent;
}

/**
 * What the retries of all requests of an open store share: a policy, and a budget, so that an
 * outage is met with a trickle of them.
 */
export class Retries {
  readonly #components: RetryComponents;
  readonly #policy: RetryPolicy;
  readonly #budget: RetryBudget;

  constructor(components: RetryComponents, policy: Partial<RetryPolicy> = {}) {
    this.#components = components;
    this.#policy = { ...DEFAULT_RETRY_POLICY, ...policy };
    this.#budget = new RetryBudget(
      components.clock,
      this.#policy.retriesAtOnce,
      this.#policy.retriesPerSecond,
    );
  }

  /** Begins a request that may be sent several times. @throws `ABORTED`, `UNAVAILABLE`. */
  begin(what: string, { signal, deadline }: RequestOptions = {}): Tries {
    const { clock } = this.#components;
    const bounds = {
      deadline: deadline ?? clock.monotonic() + this.#policy.deadlineMs,
      ...abortOf(signal),
    };
    throwIfOver(bounds, clock);
    return new Tries(what, bounds, this.#policy, this.#components, this.#budget);
  }

  /**
   * Repeats anything that may be asked twice.
   *
   * @param mayPass whether an error that is not `retryable` may be gone the next time.
   */
  async repeat<Result>(
    what: string,
    options: RequestOptions | undefined,
    request: (bounds: RequestOptions) => Promise<Result>,
    mayPass: (error: unknown) => boolean = () => false,
  ): Promise<Result> {
    const tries = this.begin(what, options);
    for (;;) {
      try {
        const result = await request(tries.bounds);
        tries.succeeded();
        return result;
      } catch (error) {
        if (!isRetryable(error) && !mayPass(error)) throw error;
        await tries.pause(error as VarveError);
      }
    }
  }
}

type Bounds = RequestOptions & Required<Pick<RequestOptions, 'deadline'>>;

/** The tries of one request, until its deadline. */
export class Tries {
  readonly #what: string;
  /** What bounds each try. */
  readonly bounds: Bounds;
  readonly #policy: RetryPolicy;
  readonly #components: RetryComponents;
  readonly #budget: RetryBudget;
  readonly #begin: number;
  #bound: number;
  #tries = 0;
  /** The last failure that the service itself answered with. */
  #answered: Error | undefined;

  constructor(
    what: string,
    bounds: Bounds,
    policy: RetryPolicy,
    components: RetryComponents,
    budget: RetryBudget,
  ) {
    this.#what = what;
    this.bounds = bounds;
    this.#policy = policy;
    this.#components = components;
    this.#budget = budget;
    this.#begin = components.clock.monotonic();
    this.#bound = policy.firstPauseMs;
  }

  /** Notes that the service answered: retries are earned by that. */
  succeeded(): void {
    this.#budget.succeeded();
  }

  /**
   * Waits until the next try may begin.
   *
   * @throws `error`, with the number of tries, when that would be after the deadline; `ABORTED` at
   *   once when the signal fires.
   */
  async pause(error: Error): Promise<void> {
    const { signal, deadline } = this.bounds;
    const { clock, randomness, meter, onEvent } = this.#components;
    throwIfAborted(signal);
    this.#tries++;
    const fault = error.cause instanceof ServiceFault ? error.cause : undefined;
    if (fault?.status !== undefined) this.#answered = error;
    const jitter = randomness.fraction() * this.#bound;
    this.#bound = Math.min(this.#policy.longestPauseMs, this.#bound * 2);
    const wait = Math.max(this.#budget.take(), (fault?.retryAfterMs ?? 0) + jitter);
    const now = clock.monotonic();
    if (now + wait > deadline) {
      this.#budget.putBack();
      // A last try that the deadline cut off says less than what was answered before.
      throw this.#gaveUp(this.#answered ?? error, now - this.#begin);
    }
    onEvent?.({
      type: 'retry',
      what: this.#what,
      reason: fault?.name ?? (isVarveError(error) ? error.code : error.name),
      attempt: this.#tries + 1,
      waitMs: Math.round(wait),
      givesUpInMs: Math.round(deadline - now),
    });
    try {
      await clock.sleep(wait, signal);
    } catch (cause) {
      throwIfAborted(signal);
      throw cause;
    }
    throwIfAborted(signal);
    meter?.retried();
  }

  #gaveUp(error: Error, passed: number): Error {
    if (!isVarveError(error)) return error;
    const tries =
      this.#tries === 1 ? 'one try' : `${this.#tries} tries in ${(passed / 1000).toFixed(1)} s`;
    return new VarveError(error.code, `${error.message} (gave up after ${tries})`, {
      cause: error.cause,
    });
  }
}

/** Whether asking again may help. */
export function isRetryable(error: unknown): boolean {
  return isVarveError(error) && error.retryable;
}
