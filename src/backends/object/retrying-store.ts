import { isVarveError, throwIfAborted, VarveError } from '../../errors.ts';
import type { AbortOptions } from '../manifests.ts';
import type { Clock, Randomness } from './clock.ts';
import type {
  ListObjectsOptions,
  ObjectHead,
  ObjectPage,
  ObjectStore,
  PutCondition,
  PutResult,
  StoredObject,
} from './object-store.ts';
import type { RequestMeter } from './request-meter.ts';
import { RetryBudget } from './retry-budget.ts';
import { ServiceFault } from './service-fault.ts';

export interface RetryPolicy {
  /** No try begins later than this many ms after the first. Default: 60,000. */
  readonly deadlineMs: number;
  /** The first pause is a random time up to this many ms, and the bound doubles with each. Default: 50. */
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
  /** Default: nobody counts the retries. */
  readonly meter?: RequestMeter;
}

/** Times that a body which does not match its checksum is asked for again: the network may have damaged it, or the disk. */
const MAX_DAMAGED = 2;

/**
 * Repeats what failed for a reason that may pass: full jitter, a deadline, a budget that all requests share, and as long a pause as
 * the service asks for.
 *
 * A `put` is repeated with the same body and condition even when it may have happened already. Its answer stays true: once a
 * try's outcome was unknown, a later `refused` may be by that try's own success, and is told as `unknown`. Who asks
 * reads the object and compares.
 */
export class RetryingStore implements ObjectStore {
  readonly location: string;
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #randomness: Pick<Randomness, 'fraction'>;
  readonly #meter: RequestMeter | undefined;
  readonly #policy: RetryPolicy;
  readonly #budget: RetryBudget;

  constructor(store: ObjectStore, { clock, randomness, meter }: RetryComponents, policy: Partial<RetryPolicy> = {}) {
    this.location = store.location;
    this.#store = store;
    this.#clock = clock;
    this.#randomness = randomness;
    this.#meter = meter;
    this.#policy = { ...DEFAULT_RETRY_POLICY, ...policy };
    this.#budget = new RetryBudget(clock, this.#policy.retriesAtOnce, this.#policy.retriesPerSecond);
  }

  async get(key: string, options: AbortOptions = {}): Promise<StoredObject | undefined> {
    let damaged = 0;
    const mayPass = (error: unknown) => isVarveError(error, 'CORRUPT') && damaged++ < MAX_DAMAGED;
    return this.#repeat(() => this.#store.get(key, options), options, mayPass);
  }

  head(key: string, options: AbortOptions = {}): Promise<ObjectHead | undefined> {
    return this.#repeat(() => this.#store.head(key, options), options);
  }

  delete(keys: readonly string[], options: AbortOptions = {}): Promise<void> {
    return this.#repeat(() => this.#store.delete(keys, options), options);
  }

  list(prefix: string, options: ListObjectsOptions = {}): Promise<ObjectPage> {
    return this.#repeat(() => this.#store.list(prefix, options), options);
  }

  async put(key: string, body: Uint8Array, condition: PutCondition, options: AbortOptions = {}): Promise<PutResult> {
    const pauses = new Pauses(this.#policy, this.#clock, this.#randomness, this.#budget);
    let unknown: Extract<PutResult, { outcome: 'unknown' }> | undefined;
    for (;;) {
      let error: Error;
      try {
        const result = await this.#store.put(key, body, condition, options);
        if (result.outcome !== 'unknown') {
          this.#budget.succeeded();
          return result.outcome === 'refused' && unknown !== undefined ? unknown : result;
        }
        unknown = result;
        error = result.error;
        if (!isRetryable(error)) return unknown;
      } catch (thrown) {
        error = thrown as Error;
        if (!isRetryable(thrown)) {
          if (unknown !== undefined) return { outcome: 'unknown', error };
          throw thrown;
        }
      }
      try {
        await pauses.pause(error, options.signal);
      } catch (ending) {
        if (unknown !== undefined) return { outcome: 'unknown', error: ending as Error };
        throw ending;
      }
      this.#meter?.retried();
    }
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #repeat<Result>(
    call: () => Promise<Result>,
    { signal }: AbortOptions,
    mayPass: (error: unknown) => boolean = () => false,
  ): Promise<Result> {
    const pauses = new Pauses(this.#policy, this.#clock, this.#randomness, this.#budget);
    for (;;) {
      try {
        const result = await call();
        this.#budget.succeeded();
        return result;
      } catch (error) {
        if (!isRetryable(error) && !mayPass(error)) throw error;
        await pauses.pause(error as VarveError, signal);
      }
      this.#meter?.retried();
    }
  }
}

/** The pauses of one request, until its deadline. */
class Pauses {
  readonly #policy: RetryPolicy;
  readonly #clock: Clock;
  readonly #randomness: Pick<Randomness, 'fraction'>;
  readonly #budget: RetryBudget;
  readonly #begin: number;
  #bound: number;
  #tries = 0;

  constructor(policy: RetryPolicy, clock: Clock, randomness: Pick<Randomness, 'fraction'>, budget: RetryBudget) {
    this.#policy = policy;
    this.#clock = clock;
    this.#randomness = randomness;
    this.#budget = budget;
    this.#begin = clock.monotonic();
    this.#bound = policy.firstPauseMs;
  }

  /**
   * Waits until the next try may begin.
   *
   * @throws `error`, with the number of tries, when that would be after the deadline; `ABORTED` at once when the signal fires.
   */
  async pause(error: Error, signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    this.#tries++;
    const asked = error.cause instanceof ServiceFault ? (error.cause.retryAfterMs ?? 0) : 0;
    const jitter = this.#randomness.fraction() * this.#bound;
    this.#bound = Math.min(this.#policy.longestPauseMs, this.#bound * 2);
    const wait = Math.max(this.#budget.take(), asked + jitter);
    const passed = this.#clock.monotonic() - this.#begin;
    if (passed + wait > this.#policy.deadlineMs) {
      this.#budget.putBack();
      throw this.#gaveUp(error, passed);
    }
    try {
      await this.#clock.sleep(wait, signal);
    } catch (cause) {
      throwIfAborted(signal);
      throw cause;
    }
    throwIfAborted(signal);
  }

  #gaveUp(error: Error, passed: number): Error {
    if (!isVarveError(error)) return error;
    const tries = this.#tries === 1 ? 'one try' : `${this.#tries} tries in ${(passed / 1000).toFixed(1)} s`;
    return new VarveError(error.code, `${error.message} (gave up after ${tries})`, { cause: error.cause });
  }
}

function isRetryable(error: unknown): boolean {
  return isVarveError(error) && error.retryable;
}
