import { VarveError } from '../../core/errors.ts';

/** What the exit code of `varve` means to a script. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  /** Part of what was asked is done, part is not; messages on standard error name which. */
  partial: 3,
  notFound: 4,
  corruption: 5,
  conflict: 6,
  /**
   * The same command may succeed later. After `OUTCOME_UNKNOWN`, read first: the write may have
   * happened.
   */
  unavailable: 7,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The exit code for an error that ended a command. */
export function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof VarveError)) return EXIT.failure;
  switch (error.code) {
    case 'INVALID_ARGUMENT':
      return EXIT.usage;
    case 'NOT_FOUND':
      return EXIT.notFound;
    case 'CORRUPT':
      return EXIT.corruption;
    case 'ALREADY_EXISTS':
    case 'CONFLICT':
    case 'HELD':
      return EXIT.conflict;
    case 'BUSY':
    case 'THROTTLED':
    case 'UNAVAILABLE':
    case 'OUTCOME_UNKNOWN':
      return EXIT.unavailable;
    case 'ABORTED':
      return EXIT.interrupted;
    case 'MALFORMED_INPUT':
    case 'TOO_LARGE':
    case 'UNSUPPORTED_FORMAT':
    case 'READ_ONLY':
    case 'NO_SPACE':
    case 'DENIED':
    case 'CLOSED':
    case 'IO':
    case 'INTERNAL':
      return EXIT.failure;
  }
}
