import type { WriteOutcome } from '../../../src/backends/contract/manifests.ts';
import { manifestObjectKey } from '../../../src/backends/object/format/keys.ts';
import { type CommitHistory, nameOf, type State } from './commit-history.ts';
import type { TrackedWrite } from './tracked-writes.ts';
import { check, Violation } from './violation.ts';

/** The versions of the bucket at the beginning and at the end of a call. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Codes of errors that only a failing service, or a caller that aborts, can cause. */
export const OUTAGES: ReadonlySet<string> = new Set([
  'UNAVAILABLE',
  'THROTTLED',
  'BUSY',
  'CLOSED',
  'ABORTED',
]);

/** Checks the outcome that a caller got for a write against what happened. */
export function checkOutcome(
  history: CommitHistory,
  tracked: TrackedWrite,
  outcome: WriteOutcome,
  span: Span,
): void {
  const objectKey = manifestObjectKey(tracked.write.key);
  const states = history.during(objectKey, span.from, span.to);
  const reported = (what: string) => () =>
    `${objectKey}: ${nameOf(tracked)} was reported as ${outcome.status}, ${what}`;
  const some = (is: (state: State) => boolean) => states.some(is);
  switch (outcome.status) {
    case 'created':
    case 'replaced':
    case 'appended': {
      const made = history.madeBy(objectKey, tracked, span.from, span.to);
      check(made !== undefined, reported('but it did not happen'));
      check(
        made.revision === outcome.revision,
        reported('at another revision than the one stored'),
      );
      break;
    }
    case 'deleted':
      check(
        history.claimDeletion(objectKey, tracked, span.from, span.to),
        reported('but it was not'),
      );
      break;
    case 'held':
    case 'released': {
      const isHeld = outcome.status === 'held';
      check(
        history.claimHold(objectKey, tracked, isHeld, span.from, span.to),
        reported('but it was not'),
      );
      break;
    }
    case 'absent':
      check(
        some(({ bodies }) => bodies === undefined),
        reported('but it was there'),
      );
      break;
    case 'unchanged':
    case 'skipped':
      check(
        some(({ revision }) => revision === outcome.revision),
        reported('at a revision that was not stored'),
      );
      if (tracked.write.operation === 'hold') {
        const { held } = tracked.write;
        check(
          some(({ isHeld }) => isHeld === held),
          reported('but it never was'),
        );
      }
      if (tracked.write.operation !== 'append') break;
      check(
        some(({ bodies }) => bodies?.includes(tracked.bodies[0] as string) ?? false),
        reported('but it had not been stored before'),
      );
      break;
    case 'failed':
      checkFailure(tracked, outcome.error, states);
      return;
  }
  if (!tracked.mayRepeat) tracked.isOver = true;
}

/** A failure of known outcome means that nothing happened, now or later. */
export function checkFailure(
  tracked: TrackedWrite,
  error: unknown,
  states: readonly State[] | undefined,
): void {
  const code = codeOf(error);
  if (code === 'OUTCOME_UNKNOWN') return;
  const what = () => `${nameOf(tracked)} failed with ${code} (${(error as Error).message})`;
  if (!tracked.mayRepeat) {
    check(tracked.happened === 0, () => `${what()}, but it happened`);
    tracked.isOver = true;
  }
  if (OUTAGES.has(code)) return;
  const { write } = tracked;
  const some = (is: (state: State) => boolean) => states === undefined || states.some(is);
  switch (code) {
    case 'ALREADY_EXISTS':
      check(
        some(({ bodies }) => bodies !== undefined),
        () => `${what()}, but it never existed meanwhile`,
      );
      return;
    case 'CONFLICT':
      check(
        some(({ revision }) => revision !== write.ifRevision),
        () => `${what()}, but it was at that revision all the time`,
      );
      return;
    case 'HELD':
      check(
        some(({ isHeld }) => isHeld),
        () => `${what()}, but it was never held meanwhile`,
      );
      return;
    case 'NOT_FOUND':
      check(
        some(({ bodies }) => bodies === undefined),
        () => `${what()}, but it existed all the time`,
      );
      return;
    default:
      throw new Violation(what());
  }
}

export function codeOf(error: unknown): string {
  if (error instanceof Violation) throw error;
  if (error instanceof Error && error.name === 'VarveError' && 'code' in error)
    return String(error.code);
  throw new Violation(
    `an error that is not a VarveError: ${error instanceof Error ? error.stack : String(error)}`,
  );
}
