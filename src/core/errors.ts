/**
 * What went wrong, by what the caller can do about it.
 *
 * | code | what to do |
 * |---|---|
 * | `INVALID_ARGUMENT` | correct the call: the message names the value and the rule |
 * | `MALFORMED_INPUT` | correct the input data: the message names the line or byte |
 * | `TOO_LARGE` | use the interface that has no such limit, named in the message |
 * | `NOT_FOUND` | nothing is stored under that id, address or path |
 * | `ALREADY_EXISTS` | another content is stored under that id: choose `ifExists` |
 * | `CONFLICT` | somebody else changed it first: read again, then decide |
 * | `HELD` | a hold forbids it: release the hold first |
 * | `CORRUPT` | stored bytes are damaged: run an audit, restore from a copy |
 * | `UNSUPPORTED_FORMAT` | the store was written by a newer Varve: upgrade |
 * | `READ_ONLY` | the store, or its medium, does not accept writes |
 * | `NO_SPACE` | the disk is full: free space, then call again; nothing was half-stored |
 * | `DENIED` | permissions or credentials do not suffice |
 * | `BUSY` | another process held the store for too long: call again |
 * | `THROTTLED` | the service asked to slow down: call again later |
 * | `UNAVAILABLE` | the service or medium does not answer: call again later |
 * | `OUTCOME_UNKNOWN` | the write may or may not have happened: read before writing again |
 * | `ABORTED` | the caller's `AbortSignal` fired |
 * | `CLOSED` | the store was closed |
 * | `IO` | the operating system refused (see `cause`), or the store moved: open it again |
 * | `INTERNAL` | a defect in Varve: please report it |
 */
export type ErrorCode =
  | 'INVALID_ARGUMENT'
  | 'MALFORMED_INPUT'
  | 'TOO_LARGE'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'CONFLICT'
  | 'HELD'
  | 'CORRUPT'
  | 'UNSUPPORTED_FORMAT'
  | 'READ_ONLY'
  | 'NO_SPACE'
  | 'DENIED'
  | 'BUSY'
  | 'THROTTLED'
  | 'UNAVAILABLE'
  | 'OUTCOME_UNKNOWN'
  | 'ABORTED'
  | 'CLOSED'
  | 'IO'
  | 'INTERNAL';

const RETRYABLE: ReadonlySet<ErrorCode> = new Set(['BUSY', 'THROTTLED', 'UNAVAILABLE']);

/** The one error class of Varve. `code` is stable across versions; `message` is for people. */
export class VarveError extends Error {
  override readonly name = 'VarveError';
  readonly code: ErrorCode;
  /** Whether the very same call may succeed when made again later. */
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.retryable = RETRYABLE.has(code);
  }
}

/**
 * Whether `error` is a {@link VarveError} of the given code.
 *
 * ```ts
 * try {
 *   await store.conversations.append('c1', []);
 * } catch (error) {
 *   if (!isVarveError(error, 'NOT_FOUND')) throw error;
 * }
 * ```
 */
export function isVarveError(error: unknown, code?: ErrorCode): error is VarveError {
  try {
    return error instanceof VarveError && (code === undefined || error.code === code);
  } catch {
    // A proxy that throws when asked for its type.
    return false;
  }
}

/**
 * Whether the stored bytes are why a read failed: they are damaged, or a newer Varve wrote them. An
 * audit reports them; work on everything else goes on.
 */
export function isUnreadable(error: unknown): error is VarveError {
  return isVarveError(error, 'CORRUPT') || isVarveError(error, 'UNSUPPORTED_FORMAT');
}

/** The end of a message that a cause explains: the cause's message in parentheses. */
export function because(cause: unknown): string {
  return cause instanceof Error && cause.message !== '' ? ` (${cause.message})` : '';
}
