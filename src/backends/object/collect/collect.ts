import type { CollectReport, CollectSettings } from '../../contract/collection.ts';
import { removeProbeRemains } from '../../storage/probe-remains.ts';
import { findRemnants } from '../operations/remnants.ts';
import { type CollectContext, type CollectRun, startRun } from './collect-run.ts';
import { finishCrashedWriters } from './crashed-writers.ts';
import { expireManifests } from './expire.ts';
import { followHints } from './follow-hints.ts';
import { eraseHeads, settleJournals } from './settle-journals.ts';
import { walkSegments } from './walk-segments.ts';

/**
 * Collection on an object store. Its words:
 *
 * - A *hint* is an object under `hints/`, written before what it names can become garbage. The
 *   everyday run follows hints, so its cost grows with the garbage, not with the store.
 * - A *full* run also walks all sidecars, and so finds garbage that no hint names. There a segment
 *   that looks like garbage is a *suspect* until all manifests have been read.
 * - To *judge* a segment is to decide from its sidecar whether it is garbage, and whether the grace
 *   is over; it changes nothing.
 * - To *sweep* is to collect what is due: condemn the generation in the sidecar, delete the data,
 *   bury the generation.
 * - A *dry run* changes nothing. It *foresees* the references that a run would have dropped, so
 *   that it judges segments as the run would.
 *
 * Any process may die between two requests: each step finds what an earlier run left unfinished.
 *
 * The order matters. The first three steps drop references, and the next two sweep what nothing
 * references any more. An erasure looks for remnants last, when nothing is left to delete.
 */
const STEPS: readonly ((run: CollectRun) => Promise<void>)[] = [
  expireManifests,
  settleJournals,
  finishCrashedWriters,
  walkSegments,
  followHints,
  removeProbes,
  eraseLists,
  reportRemnants,
];

/** Runs one collection. */
export async function collectObjects(
  context: CollectContext,
  options: CollectSettings,
): Promise<CollectReport> {
  const { clock } = context.protocol;
  const started = clock.monotonic();
  const run = startRun(context, options);
  for (const step of STEPS) await step(run);
  const { scope, tally } = run;
  return {
    dryRun: scope.dryRun,
    isComplete: !scope.isCut,
    ...tally.report(),
    deadBytes: 0,
    rewrittenPacks: 0,
    ...(scope.erase && { remnants: run.remnants }),
    durationMs: clock.monotonic() - started,
  };
}

/** Each probe does that, too. */
async function removeProbes({ protocol, scope }: CollectRun): Promise<void> {
  if (scope.full && !scope.dryRun) await removeProbeRemains(protocol);
}

/** Lists name what was deleted, too. */
async function eraseLists(run: CollectRun): Promise<void> {
  const { index, scope } = run;
  if (!scope.erase || scope.dryRun) return;
  await index.erase();
  await eraseHeads(run);
}

async function reportRemnants(run: CollectRun): Promise<void> {
  const { protocol, scope } = run;
  if (!scope.erase || scope.dryRun || scope.isOver()) return;
  run.remnants = await findRemnants(protocol, scope.signal);
}
