import { VarveError } from './errors.ts';

/** Options of every call that can be ended early. */
export interface AbortOptions {
  /** Ends the call with `ABORTED` when it fires. */
  readonly signal?: AbortSignal | undefined;
}

/** Options for calls that `signal` ends. */
export function abortOf(signal: AbortSignal | undefined): AbortOptions {
  return signal === undefined ? {} : { signal };
}

/** Throws `ABORTED` when `signal` has fired, with the signal's reason as the cause. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new VarveError('ABORTED', 'the operation was aborted by its caller', {
      cause: signal.reason,
    });
  }
}
