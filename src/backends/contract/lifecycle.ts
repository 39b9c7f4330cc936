import { setMaxListeners } from 'node:events';
import { type AbortOptions, throwIfAborted } from '../../core/abort.ts';
import { isVarveError, VarveError } from '../../core/errors.ts';

/**
 * The life of an open store, the same in every backend: whether it is open and may be written, what
 * ends its calls, and what closing waits for.
 */
export class Lifecycle {
  readonly #place: string;
  readonly #isWritable: boolean;
  readonly #signal: AbortSignal | undefined;
  readonly #closed = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  /**
   * @param place names the store in messages.
   * @param signal ends every call, whatever signal of its own the call has.
   */
  constructor(place: string, isWritable: boolean, signal?: AbortSignal) {
    this.#place = place;
    this.#isWritable = isWritable;
    this.#signal = signal && anyOf([signal]);
  }

  /** Whether the signal of the store has fired. */
  get isAborted(): boolean {
    return this.#signal?.aborted === true;
  }

  /** @throws `CLOSED`. */
  assertOpen(): void {
    if (this.#closing !== undefined) throw new VarveError('CLOSED', 'the store was closed');
  }

  /** @throws `CLOSED`, `READ_ONLY`. */
  assertWritable(): void {
    this.assertOpen();
    if (!this.#isWritable)
      throw new VarveError('READ_ONLY', `the store at ${this.#place} was opened read-only`);
  }

  /**
   * Begins a call.
   *
   * @returns the signal that ends it: that of the call or of the store.
   * @throws `CLOSED`, `ABORTED`.
   */
  begin({ signal }: AbortOptions = {}): AbortSignal | undefined {
    this.assertOpen();
    throwIfAborted(this.#signal);
    throwIfAborted(signal);
    if (signal === undefined) return this.#signal;
    return anyOf(this.#signal === undefined ? [signal] : [this.#signal, signal]);
  }

  /** Begins a call that closing ends as well: long work need not come to its end. */
  beginLong(options: AbortOptions = {}): AbortSignal {
    const signal = this.begin(options);
    return anyOf(signal === undefined ? [this.#closed.signal] : [signal, this.#closed.signal]);
  }

  /** Runs work that closing waits for. @throws what it throws; `CLOSED` when closing ended it. */
  async run<Result>(work: () => Result | Promise<Result>): Promise<Result> {
    const running = (async () => work())();
    this.#running.add(running);
    try {
      return await running;
    } catch (error) {
      const { aborted, reason } = this.#closed.signal;
      throw aborted && isVarveError(error, 'ABORTED') && error.cause === reason ? reason : error;
    } finally {
      this.#running.delete(running);
    }
  }

  /**
   * Ends long work, waits for what is running, then runs `end`. A second call waits for the first
   * and does nothing.
   */
  async close(end: () => Promise<void>): Promise<void> {
    if (this.#closing !== undefined) return this.#closing.catch(() => undefined);
    this.#closing = this.#close(end);
    return this.#closing;
  }

  async #close(end: () => Promise<void>): Promise<void> {
    this.#closed.abort(new VarveError('CLOSED', 'the store was closed'));
    await Promise.allSettled(this.#running);
    await end();
  }
}

/** One signal that hundreds of requests may listen to, without a warning. */
function anyOf(signals: AbortSignal[]): AbortSignal {
  const signal = AbortSignal.any(signals);
  setMaxListeners(0, signal);
  return signal;
}
