import { abortOf } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { listSegments } from '../listing/segment-listing.ts';
import { ReferenceRepair } from '../segments/reference-repair.ts';
import type { CollectRun } from './collect-run.ts';
import { finishDrops, readHintWindows, segmentsOf } from './garbage-hints.ts';
import type { Verdict } from './judge.ts';
import { look } from './look.ts';
import { Suspects } from './suspects.ts';
import { sweep } from './sweep.ts';

/** Segments per batch of a full walk. */
const WINDOW = 250;

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
  await suspectHinted(run, suspects);
  if (!scope.isOver()) await suspects.sweepUnnamed();
  const isWhole = await suspectAll(run, suspects);
  if (isWhole && !scope.isOver()) await suspects.sweepUnnamed();
}

async function suspectHinted(run: CollectRun, suspects: Suspects): Promise<void> {
  for await (const window of readHintWindows(run)) {
    await mapAll(window, (hint) => finishDrops(run, hint));
    await suspects.add(await lookAtOwn(run, segmentsOf(window)));
  }
}

/** Returns whether the deadline left time for all. */
async function suspectAll(run: CollectRun, suspects: Suspects): Promise<boolean> {
  const { protocol, scope } = run;
  let done = 0;
  for await (const page of listSegments(protocol, WINDOW, abortOf(scope.signal))) {
    if (scope.isOver()) return false;
    const withSidecar = page.filter(({ hasSidecar }) => hasSidecar);
    await suspects.add(
      await lookAtOwn(
        run,
        withSidecar.map(({ address }) => address),
      ),
    );
    done += page.length;
    scope.progress('walk segments', done);
  }
  return true;
}

/** Judges the segments that are this shard's and not counted yet. */
async function lookAtOwn(run: CollectRun, addresses: readonly Address[]): Promise<Verdict[]> {
  const { scope, tally } = run;
  const verdicts = await look(
    run,
    addresses.filter((address) => scope.hasSegment(address) && !tally.has(address)),
  );
  tally.add(verdicts);
  return verdicts;
}
