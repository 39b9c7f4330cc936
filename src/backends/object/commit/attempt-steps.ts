import { throwIfAborted } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { because, isUnreadable, isVarveError, VarveError } from '../../../core/errors.ts';
import type { NewSegment } from '../../contract/manifests.ts';
import { UnfitService } from '../../storage/service-watch.ts';
import type { DroppedReference, RecordChange } from '../format/manifest-record.ts';
import type { Generation } from '../format/sidecar.ts';
import { SegmentFault, type SegmentTaker } from '../segments/segment-taker.ts';
import type { Hints } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import { withPages } from '../tables/references.ts';
import type { Announced, Attempt, Change, Committed, Needs, Planned, Taken } from './attempt.ts';
import type { CommitJournal } from './commit-journal.ts';
import { dropReferences, type ManifestDrops } from './drop-references.ts';
import { withHeartbeats } from './heartbeat.ts';
import type { StoredGuess } from './stored-guess.ts';
import type { WritePlan } from './write-planner.ts';

/** What the attempts of one call share. */
export interface AttemptContext {
  readonly protocol: Protocol;
  readonly taker: SegmentTaker;
  readonly hints: Hints;
  readonly guess: StoredGuess;
  readonly journal: CommitJournal;
  /** Canonical bytes of each segment that was stored new. */
  readonly stored: Map<Address, number>;
  /** References that are dropped and whose tokens have yet to leave the sidecars. */
  readonly drops: ManifestDrops[];
}

/** An attempt that has taken everything, and the record that commits it. */
export interface Prepared<Plan extends Needs & Change = WritePlan>
  extends Taken<Plan>,
    ReturnType<Attempt['committing']> {
  /** What it drops, with all that dropped pages reference. */
  readonly garbage: readonly DroppedReference[];
}

/** Returns the generations, of those that a plan would use again, whose data is lost. */
export async function findLost(
  { taker }: AttemptContext,
  { reused }: WritePlan,
): Promise<(readonly [Address, Generation])[]> {
  const isStored = await mapAll(reused, ([address, gen]) => taker.isStored(address, gen));
  return [...reused].filter((_, at) => !isStored[at]);
}

/**
 * Names in `pending` what the plan lacks. Resolves with `undefined` when the object turned out to
 * be another.
 *
 * @throws `UNAVAILABLE` when the outcome stays unknown: an entry in `pending` that arrives late
 *   only waits to be fenced.
 */
export async function announce<Plan extends Needs>(
  context: AttemptContext,
  { attempt, plan }: Planned<Plan>,
): Promise<Announced<Plan> | undefined> {
  const announced = { phase: 'announced', attempt, plan } as const;
  if (plan.missing.size === 0) return announced;
  const { hints, journal, protocol } = context;
  // A journal that names the manifest is a mark, too.
  if (!journal.isKept) await hints.announceWriter();
  try {
    const isStored = await swap(context, attempt, attempt.announcing(plan.missing.keys()));
    return isStored ? announced : undefined;
  } catch (error) {
    if (!isVarveError(error, 'OUTCOME_UNKNOWN')) throw error;
    hints.keepWriter();
    throwIfAborted(protocol.call.signal);
    const { cause } = error;
    if (cause instanceof UnfitService) throw cause;
    throw new VarveError('UNAVAILABLE', `nothing was written: try again later${because(cause)}`, {
      cause,
    });
  }
}

/**
 * Takes references to what was announced, and stores what has no data. A segment that several
 * attempts lack is asked for once. Heartbeats go on meanwhile. Calls back with segments that their
 * writer's bytes or a damaged sidecar fail, and returns the attempts that have all of theirs.
 */
export async function take<Plan extends Needs>(
  { protocol, taker, stored }: AttemptContext,
  announced: readonly Announced<Plan>[],
  onFault: (attempt: Announced<Plan>, address: Address, error: VarveError) => void,
): Promise<Taken<Plan>[]> {
  const faulty = new Set<Attempt>();
  const fail = (each: Announced<Plan>, address: Address, error: VarveError) => {
    faulty.add(each.attempt);
    onFault(each, address, error);
  };
  const taking = mapAll(groupBySegment(announced), async ([address, wanting]) => {
    for (let rest = wanting; rest.length > 0; rest = rest.slice(1)) {
      const [first] = rest as [Announced<Plan>];
      try {
        const taken = await taker.take({
          segment: first.plan.missing.get(address) as NewSegment,
          tokens: rest.map(({ attempt }) => attempt.token),
        });
        for (const { attempt } of rest) attempt.took(address, taken.gen);
        if (taken.isNew) stored.set(address, taken.length);
        return;
      } catch (error) {
        if (isUnreadable(error)) {
          // A damaged sidecar concerns all who want its segment.
          for (const each of rest) fail(each, address, withAdvice(error));
          return;
        }
        if (!(error instanceof SegmentFault)) throw error;
        // The bytes of this writer are at fault; those of the next one may be right.
        fail(first, address, error.failure);
      }
    }
  });
  const waiting = announced.filter(({ plan }) => plan.missing.size > 0);
  await withHeartbeats(
    protocol,
    waiting.map(({ attempt }) => attempt),
    taking,
  );
  return announced
    .filter(({ attempt }) => !faulty.has(attempt))
    .map(({ attempt, plan }) => ({ phase: 'taken', attempt, plan }));
}

/** Makes the record that a commit stores, so that hints at what it drops can be stored first. */
export async function prepare<Plan extends Needs & Change>(
  { protocol }: AttemptContext,
  { attempt, plan }: Taken<Plan>,
): Promise<Prepared<Plan>> {
  const { change, dropped } = attempt.committing(plan);
  const inPages = await withPages(protocol, attempt.objectKey, dropped);
  return { phase: 'taken', attempt, plan, change, dropped, garbage: [...dropped, ...inPages] };
}

/**
 * Replaces the object by one with the planned content: the commit point. Resolves with `undefined`
 * when the object turned out to be another.
 */
export async function commit<Plan extends Needs & Change>(
  context: AttemptContext,
  { attempt, plan, change, dropped }: Prepared<Plan>,
): Promise<Committed<Plan> | undefined> {
  if (!(await swap(context, attempt, change))) return undefined;
  noteDrops(context, attempt, dropped);
  return { phase: 'committed', attempt, plan };
}

/**
 * Takes dropped tokens out of the sidecars. Throws no failure of the store: hints and audits find
 * what is left.
 */
export async function drop({ protocol, taker, drops }: AttemptContext): Promise<void> {
  try {
    await dropReferences(protocol, taker, drops.splice(0));
  } catch (error) {
    if (!isVarveError(error)) throw error;
  }
}

/**
 * Begins again where an attempt was fenced. Who fenced it drops what it had taken until then; what
 * it took since is dropped here.
 */
export function restartIfFenced(context: AttemptContext, attempt: Attempt): void {
  if (attempt.isFenced) noteDrops(context, attempt, attempt.restart());
}

/**
 * Withdraws attempts that will not commit; `failure`: what ended them, if anything did. Attempts
 * that the end of the call or an outage ended, or that cannot be withdrawn, stay: a collection
 * fences them.
 */
export async function abandon(
  context: AttemptContext,
  attempts: readonly Attempt[],
  failure?: VarveError,
): Promise<void> {
  const { hints } = context;
  const begun = attempts.filter(({ pending }) => pending !== undefined);
  if (failure !== undefined && (failure.code === 'ABORTED' || isOutage(failure))) {
    if (begun.length > 0) hints.keepWriter();
    return;
  }
  try {
    await mapAll(begun, (attempt) => withdraw(context, attempt));
  } catch (error) {
    if (!isVarveError(error)) throw error;
    hints.keepWriter();
  }
  await drop(context);
}

async function withdraw(context: AttemptContext, attempt: Attempt): Promise<void> {
  for (let own = attempt.pending; own !== undefined; own = attempt.pending) {
    const { change, dropped } = attempt.withdrawing(own);
    await context.hints.announceGarbage([{ objectKey: attempt.objectKey, dropped }]);
    if (await swap(context, attempt, change)) noteDrops(context, attempt, dropped);
  }
}

async function swap(
  context: AttemptContext,
  attempt: Attempt,
  change: RecordChange,
): Promise<boolean> {
  const isStored = await attempt.swap(change);
  if (!isStored) restartIfFenced(context, attempt);
  return isStored;
}

function noteDrops(
  { drops }: AttemptContext,
  { key, seen }: Attempt,
  dropped: readonly DroppedReference[],
): void {
  if (dropped.length > 0) drops.push({ key, seen, dropped });
}

/** Whether asking for more would be in vain. */
function isOutage(error: VarveError): boolean {
  return error.code === 'UNAVAILABLE' || error.code === 'THROTTLED';
}

function withAdvice(error: VarveError): VarveError {
  if (!isVarveError(error, 'CORRUPT')) return error;
  return new VarveError('CORRUPT', `${error.message}; audit with repair, then write again`, {
    cause: error,
  });
}

/** By segment, the attempts that lack it, in their order. */
function groupBySegment<Plan extends Needs>(
  announced: readonly Announced<Plan>[],
): Map<Address, Announced<Plan>[]> {
  const groups = new Map<Address, Announced<Plan>[]>();
  for (const each of announced) {
    for (const address of each.plan.missing.keys()) {
      const group = groups.get(address);
      if (group === undefined) groups.set(address, [each]);
      else group.push(each);
    }
  }
  return groups;
}
