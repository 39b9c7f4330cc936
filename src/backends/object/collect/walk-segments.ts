import { abortOf } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { batchesOf } from '../../../core/batches.ts';
import { mapAhead, mapAll } from '../../../core/concurrency.ts';
import { ReferenceRepair } from '../commit/reference-repair.ts';
import { listSegments } from '../listing/segment-listing.ts';
import type { CollectRun } from './collect-run.ts';
import { finishDrops, readHintWindows, segmentsOf } from './garbage-hints.ts';
import type { Verdict } from './judge.ts';
import { look, lookAt } from './look.ts';
import { Suspects } from './suspects.ts';
import { sweep } from './sweep.ts';

/** Segments per batch of a full walk. */
const WINDOW = 250;

/** Segments judged ahead of that. */
const SEGMENTS_AHEAD = 64;

/**
 * In a full run: suspects the segments that hints name, then all others, and sweeps the suspects
 * that no manifest names.
 */
export async function walkSegments(run: CollectRun): Promise<void> {
  const { protocol, taker, hints, scope } = run;
  if (!scope.full) return;
  const suspects = new Suspects(run, new ReferenceRepair(protocol, taker, hints), (addresses) =>
    sweep(run, addresses),
  );
  try {
    await suspectHinted(run, suspects);
    if (!scope.isOver()) await suspects.sweepUnnamed();
    const isWhole = await suspectAll(run, suspects);
    if (isWhole && !scope.isOver()) await suspects.sweepUnnamed();
  } finally {
    suspects.close();
  }
}

async function suspectHinted(run: CollectRun, suspects: Suspects): Promise<void> {
  for await (const window of readHintWindows(run)) {
    await mapAll(window, (hint) => finishDrops(run, hint));
    const addresses = segmentsOf(window).filter((address) => isToJudge(run, address));
    await suspect(run, suspects, await look(run, addresses));
  }
}

/** Returns whether the deadline left time for all. */
async function suspectAll(run: CollectRun, suspects: Suspects): Promise<boolean> {
  const { protocol, scope } = run;
  if (scope.isOver()) return false;
  let done = 0;
  const verdicts = mapAhead(
    listSegments(protocol, abortOf(scope.signal)),
    { count: Math.min(scope.concurrency, SEGMENTS_AHEAD) },
    ({ address, hasSidecar }) =>
      hasSidecar && isToJudge(run, address) ? lookAt(run, address) : undefined,
  );
  for await (const window of batchesOf(verdicts, { count: WINDOW })) {
    if (scope.isOver()) return false;
    await suspect(
      run,
      suspects,
      window.filter((verdict) => verdict !== undefined),
    );
    done += window.length;
    scope.progress('walk segments', done);
  }
  return true;
}

/** Whether a segment is this shard's and not counted yet. */
function isToJudge({ scope, tally }: CollectRun, address: Address): boolean {
  return scope.hasSegment(address) && !tally.has(address);
}

function suspect(run: CollectRun, suspects: Suspects, verdicts: readonly Verdict[]): Promise<void> {
  run.tally.add(verdicts);
  return suspects.add(verdicts);
}
