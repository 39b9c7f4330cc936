import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { deleteAll } from '../../storage/delete-all.ts';
import type { ListedHint } from '../listing/hint-listing.ts';
import type { CollectRun } from './collect-run.ts';
import { finishDrops, readHintWindows, segmentsOf } from './garbage-hints.ts';
import type { Verdict } from './judge.ts';
import { look } from './look.ts';
import { sweep } from './sweep.ts';

/** Does what hints ask for, and deletes the hints that are spent. */
export async function followHints(run: CollectRun): Promise<void> {
  const { scope, tally, foreseen } = run;
  let done = 0;
  for await (const window of readHintWindows(run)) {
    await followWindow(run, window);
    done += window.length;
    scope.progress('follow hints', done);
  }
  if (scope.full || scope.isOver()) return;
  // A run finds these by the hints that it has written itself.
  await sweep(
    run,
    foreseen.addresses().filter((address) => scope.hasSegment(address) && !tally.has(address)),
  );
}

async function followWindow(run: CollectRun, hints: readonly ListedHint[]): Promise<void> {
  const { protocol, scope } = run;
  const isFinished = await mapAll(hints, (hint) => finishDrops(run, hint));
  const segments = segmentsOf(hints);
  // A full run has swept before what there was to sweep.
  const isOurs = (address: Address) => !scope.full && scope.hasSegment(address);
  const swept = await sweep(run, segments.filter(isOurs));
  if (scope.dryRun || scope.isCut) return;
  // A hint stays until every shard has collected its own segments of it.
  const others = await look(
    run,
    segments.filter((address) => !isOurs(address)),
  );
  const outcomes = outcomesOf([...swept, ...others]);
  const spent = hints.filter(
    (hint, at) => isFinished[at] && !isNeeded(hint, outcomes, isYoung(run, hint)),
  );
  await deleteAll(
    protocol.store,
    spent.map(({ object }) => object.key),
  );
}

/**
 * Whether a hint names a segment that is still to be collected, now or later (rule
 * `hint-before-change`). A young hint may be of drops under way, which the sidecars do not show
 * yet.
 */
function isNeeded(
  { content }: ListedHint,
  outcomes: ReadonlyMap<Address, Verdict['outcome']>,
  isYoung: boolean,
): boolean {
  return (content?.segments ?? []).some((address) => {
    const outcome = outcomes.get(address);
    if (outcome === 'not-garbage') return isYoung;
    return outcome === 'due' || outcome === 'waiting' || outcome === 'unreadable';
  });
}

function isYoung({ protocol }: CollectRun, { object }: ListedHint): boolean {
  const { serverClock, settings } = protocol;
  return serverClock.earliest() - object.lastModified <= settings.leaseMs + settings.timeoutMs;
}

function outcomesOf(verdicts: readonly Verdict[]): Map<Address, Verdict['outcome']> {
  return new Map(verdicts.map(({ address, outcome }) => [address, outcome]));
}
