import type { WriteOutcome } from '../../src/backends/contract/manifests.ts';
import { manifestObjectKey } from '../../src/backends/object/format/keys.ts';
import { type CommitHistory, nameOf, type State } from './commit-history.ts';
import type { TrackedWrite } from './operations.ts';
import { promise, Violation } from './violation.ts';

/** Versions of the bucket when an operation was called and when it ended. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** What only a service that fails, or a caller who leaves, can bring about. */
export const OUTAGES: ReadonlySet<string> = new Set([
  'UNAVAILABLE',
  'THROTTLED',
  'BUSY',
  'CLOSED',
  'ABORTED',
]);

/** Holds what a caller was told of a write against what happened. */
export function checkOutcome(
  history: CommitHistory,
  tracked: TrackedWrite,
  outcome: WriteOutcome,
  span: Span,
): void {
  const objectKey = manifestObjectKey(tracked.write.key);
  const states = history.during(objectKey, span.from, span.to);
  const told = (what: string) => () =>
    `${objectKey}: ${nameOf(tracked)} was told ${outcome.status}, ${what}`;
  const some = (is: (state: State) => boolean) => states.some(is);
  switch (outcome.status) {
    case 'created':
    case 'replaced':
    case 'appended': {
      const made = history.madeBy(objectKey, tracked, span.from, span.to);
      promise(made !== undefined, told('and it did not happen'));
      promise(made.revision === outcome.revision, told('at another revision than the one stored'));
      break;
    }
    case 'deleted':
      promise(
        history.claimDeletion(objectKey, tracked, span.from, span.to),
        told('and it was not'),
      );
      break;
    case 'held':
    case 'released': {
      const isHeld = outcome.status === 'held';
      promise(
        history.claimHold(objectKey, tracked, isHeld, span.from, span.to),
        told('and it was not'),
      );
      break;
    }
    case 'absent':
      promise(
        some(({ bodies }) => bodies === undefined),
        told('and it was there'),
      );
      break;
    case 'unchanged':
    case 'skipped':
      promise(
        some(({ revision }) => revision === outcome.revision),
        told('at a revision that was not stored'),
      );
      if (tracked.write.operation === 'hold') {
        const { held } = tracked.write;
        promise(
          some(({ isHeld }) => isHeld === held),
          told('and it never was so'),
        );
      }
      if (tracked.write.operation !== 'append') break;
      promise(
        some(({ bodies }) => bodies?.includes(tracked.bodies[0] as string) ?? false),
        told('and it had not been taken'),
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
    promise(tracked.happened === 0, () => `${what()}, and had happened`);
    tracked.isOver = true;
  }
  if (OUTAGES.has(code)) return;
  const { write } = tracked;
  const some = (is: (state: State) => boolean) => states === undefined || states.some(is);
  switch (code) {
    case 'ALREADY_EXISTS':
      promise(
        some(({ bodies }) => bodies !== undefined),
        () => `${what()}, and it never existed meanwhile`,
      );
      return;
    case 'CONFLICT':
      promise(
        some(({ revision }) => revision !== write.ifRevision),
        () => `${what()}, and was at that revision all the time`,
      );
      return;
    case 'HELD':
      promise(
        some(({ isHeld }) => isHeld),
        () => `${what()}, and was never held meanwhile`,
      );
      return;
    case 'NOT_FOUND':
      promise(
        some(({ bodies }) => bodies === undefined),
        () => `${what()}, and existed all the time`,
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
    `an error that is none of ours: ${error instanceof Error ? error.stack : String(error)}`,
  );
}
