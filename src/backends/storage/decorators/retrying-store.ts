import { throwIfAborted } from '../../../core/abort.ts';
import { isVarveError, VarveError } from '../../../core/errors.ts';
import type { OnEvent } from '../../../core/events.ts';
import type { Clock, Randomness } from '../../../core/system/clock.ts';
import { throwIfOver } from '../call.ts';
import type {
  ListObjectsOptions,
  ObjectHead,
  ObjectPage,
  ObjectStore,
  PutCondition,
  PutResult,
  RequestOptions,
  StoredObject,
} from '../object-store.ts';
import type { RequestMeter } from '../request-meter.ts';
import { ServiceFault } from '../service-fault.ts';
import { RetryBudget } from './retry-budget.ts';

export interface RetryPolicy {
  /**
   * A request without a deadline of its own has to end so many ms after its first try began.
   * Default: 60,000.
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
  /** Default: nobody counts the retries. */
  readonly meter?: RequestMeter;
  /** Told of each retry, before the pause. Default: nobody. */
  readonly onEvent?: OnEvent;
}

/**
 * Times that a body which does not match its checksum is asked for again: the network may have
 * damaged it, or the disk.
 */
const MAX_DAMAGED = 2;

/**
 * Repeats what failed for a reason that may pass: full jitter, a deadline, a budget that all
 * requests share, and as long a pause as the service asks for.
 *
 * A `put` is repeated with the same body and condition even when it may have happened already. Its
 * answer stays true: once a try's outcome was unknown, a later `refused` may be by that try's own
 * success, and is told as `unknown`. Who asks reads the object and compares.
 */
export class RetryingStore implements ObjectStore {
  readonly location: string;
  readonly #store: ObjectStore;
  readonly #components: RetryComponents;
  readonly #policy: RetryPolicy;
  readonly #budget: RetryBudget;

  constructor(store: ObjectStore, components: RetryComponents, policy: Partial<RetryPolicy> = {}) {
    this.location = store.location;
    this.#store = store;
    this.#components = components;
    this.#policy = { ...DEFAULT_RETRY_POLICY, ...policy };
    this.#budget = new RetryBudget(
      components.clock,
      this.#policy.retriesAtOnce,
      this.#policy.retriesPerSecond,
    );
  }

  async get(key: string, options: RequestOptions = {}): Promise<StoredObject | undefined> {
    let damaged = 0;
    const mayPass = (error: unknown) => isVarveError(error, 'CORRUPT') && damaged++ < MAX_DAMAGED;
    return this.repeat(`GET ${key}`, options, (bounds) => this.#store.get(key, bounds), mayPass);
  }

  head(key: string, options: RequestOptions = {}): Promise<ObjectHead | undefined> {
    return this.repeat(`HEAD ${key}`, options, (bounds) => this.#store.head(key, bounds));
  }

  delete(keys: readonly string[], options: RequestOptions = {}): Promise<void> {
    const what = keys.length === 1 ? `DELETE ${keys[0]}` : `DELETE of ${keys.length} objects`;
    return this.repeat(what, options, (bounds) => this.#store.delete(keys, bounds));
  }

  list(prefix: string, options: ListObjectsOptions = {}): Promise<ObjectPage> {
    return this.repeat(`LIST ${prefix}`, options, (bounds) =>
      this.#store.list(prefix, { ...options, ...bounds }),
    );
  }

  async put(
    key: string,
    body: Uint8Array,
    condition: PutCondition,
    options: RequestOptions = {},
  ): Promise<PutResult> {
    const bounds = this.#bounds(options);
    const pauses = this.#pauses(`PUT ${key}`, bounds);
    let unknown: Extract<PutResult, { outcome: 'unknown' }> | undefined;
    for (;;) {
      let error: Error;
      try {
        const result = await this.#store.put(key, body, condition, bounds);
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
        await pauses.pause(error);
      } catch (ending) {
        if (unknown !== undefined) return { outcome: 'unknown', error: ending as Error };
        throw ending;
      }
    }
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  /**
   * Repeats anything that may be asked twice, as it repeats reading.
   *
   * @param mayPass whether an error that is not `retryable` may be gone the next time.
   */
  async repeat<Result>(
    what: string,
    options: RequestOptions,
    request: (bounds: Bounds) => Promise<Result>,
    mayPass: (error: unknown) => boolean = () => false,
  ): Promise<Result> {
    const bounds = this.#bounds(options);
    const pauses = this.#pauses(what, bounds);
    for (;;) {
      try {
        const result = await request(bounds);
        this.#budget.succeeded();
        return result;
      } catch (error) {
        if (!isRetryable(error) && !mayPass(error)) throw error;
        await pauses.pause(error as VarveError);
      }
    }
  }

  #bounds({ signal, deadline }: RequestOptions): Bounds {
    const { clock } = this.#components;
    const bounds = { deadline: deadline ?? clock.monotonic() + this.#policy.deadlineMs };
    throwIfOver({ ...bounds, ...(signal && { signal }) }, clock);
    return signal === undefined ? bounds : { ...bounds, signal };
  }

  #pauses(what: string, bounds: Bounds): Pauses {
    return new Pauses(what, bounds, this.#policy, this.#components, this.#budget);
  }
}

type Bounds = RequestOptions & Required<Pick<RequestOptions, 'deadline'>>;

/** The pauses of one request, until its deadline. */
class Pauses {
  readonly #what: string;
  readonly #bounds: Bounds;
  readonly #policy: RetryPolicy;
  readonly #components: RetryComponents;
  readonly #budget: RetryBudget;
  readonly #begin: number;
  #bound: number;
  #tries = 0;
  /** The last failure that the service itself told. */
  #told: Error | undefined;

  constructor(
    what: string,
    bounds: Bounds,
    policy: RetryPolicy,
    components: RetryComponents,
    budget: RetryBudget,
  ) {
    this.#what = what;
    this.#bounds = bounds;
    this.#policy = policy;
    this.#components = components;
    this.#budget = budget;
    this.#begin = components.clock.monotonic();
    this.#bound = policy.firstPauseMs;
  }

  /**
   * Waits until the next try may begin.
   *
   * @throws `error`, with the number of tries, when that would be after the deadline; `ABORTED` at
   *   once when the signal fires.
   */
  async pause(error: Error): Promise<void> {
    const { signal, deadline } = this.#bounds;
    const { clock, randomness, meter, onEvent } = this.#components;
    throwIfAborted(signal);
    this.#tries++;
    const fault = error.cause instanceof ServiceFault ? error.cause : undefined;
    if (fault?.status !== undefined) this.#told = error;
    const jitter = randomness.fraction() * this.#bound;
    this.#bound = Math.min(this.#policy.longestPauseMs, this.#bound * 2);
    const wait = Math.max(this.#budget.take(), (fault?.retryAfterMs ?? 0) + jitter);
    const now = clock.monotonic();
    if (now + wait > deadline) {
      this.#budget.putBack();
      // A last try that the deadline cut off says less than what was answered before.
      throw this.#gaveUp(this.#told ?? error, now - this.#begin);
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

function isRetryable(error: unknown): boolean {
  return isVarveError(error) && error.retryable;
}
