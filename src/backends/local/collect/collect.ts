import type { CollectReport, CollectSettings } from '../../contract/collection.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { shrink } from '../database/index-upkeep.ts';
import { removeDeadLocks } from '../database/writer-lock.ts';
import { claimDuePacks } from './claim-packs.ts';
import { planCollection } from './collect-plan.ts';
import { CollectRun } from './collect-run.ts';
import { cutoffOf } from './collect-scope.ts';
import { finishErasure, forgetUnusedNames } from './erase.ts';
import { deleteExpired } from './expire.ts';
import { areFingerprintsDue, rebuildFingerprints } from './fingerprint-rebuild.ts';
import { compactLog, isLogDue } from './log-compaction.ts';
import { deadBytes, rewriteReasons, share, surveyPacks } from './pack-survey.ts';
import { removeEmptyPacks, rewritePacks } from './rewrite.ts';
import { surveyWaiting, sweep } from './sweep.ts';

/**
 * Collection on a local store. Its words:
 *
 * - *Garbage* is a record that nothing references. To *sweep* is to condemn garbage whose grace is
 *   over: nobody finds, counts or reads it any more, and its bytes are *dead*.
 * - To *rewrite* a pack is to move what is alive in it into new blocks, and to remove the pack.
 * - To *compact* the log is to write a snapshot of all manifests, and to drop what is older.
 *
 * Every step is one or more transactions of its own, so a run may stop anywhere, and the next one
 * continues. Shards divide records, manifests and packs by their numbers.
 *
 * The order matters: each step makes dead what the next one removes. The log comes after the packs,
 * so that a plan need not know how long a snapshot of it is.
 */
const STEPS: readonly ((run: CollectRun) => void | Promise<void>)[] = [
  expireManifests,
  sweepGarbage,
  rewriteDuePacks,
  compactDueLog,
  dropStaleFingerprints,
  dropUnusedNames,
  eraseTraces,
  shrinkIndex,
  removeLocks,
  countWaiting,
];

/** Runs, or plans, one collection. */
export async function collectLocal(
  context: MaintenanceContext,
  options: CollectSettings,
): Promise<CollectReport> {
  const started = performance.now();
  const run = new CollectRun(context, options);
  if (options.dryRun) planCollection(run);
  else for (const step of STEPS) await step(run);
  return reportOf(run, started);
}

function reportOf(run: CollectRun, started: number): CollectReport {
  const { options, expired, abandoned, swept, waiting, rewritten } = run;
  const { dryRun, full, erase } = options;
  return {
    dryRun,
    isComplete: run.isComplete,
    reasons: {
      ...share('expired', expired),
      ...share('abandoned-upload', abandoned),
      ...share('unreferenced', swept),
      ...rewriteReasons(rewritten, full || erase),
    },
    expiredManifests: expired.count,
    collectedSegments: swept.count,
    collectedBytes: swept.bytes,
    waitingSegments: waiting.count,
    waitingBytes: waiting.bytes,
    freedBytes: Math.max(0, run.freedBytes),
    deadBytes: run.deadBytes,
    rewrittenPacks: rewritten.length,
    ...(erase && !dryRun && { remnants: run.remnants }),
    durationMs: performance.now() - started,
  };
}

async function expireManifests(run: CollectRun): Promise<void> {
  const { context, scope, options } = run;
  const { expired, abandoned } = await deleteExpired(context, context.clock(), scope, options);
  run.expired = expired;
  run.abandoned = abandoned;
}

async function sweepGarbage(run: CollectRun): Promise<void> {
  const { context, scope, options } = run;
  // Taken now: without a grace, what has just expired is swept as well.
  run.cutoff = cutoffOf(context.clock(), run.graceMs);
  run.swept = await sweep(context, run.cutoff, scope, options);
}

async function rewriteDuePacks(run: CollectRun): Promise<void> {
  const { context, scope, options } = run;
  const due = scope.isOver ? [] : await claimDuePacks(context, options, scope);
  const numbers = due.map(({ id }) => id);
  const { written, left } = await rewritePacks(context, numbers, scope, options);
  run.freedBytes = (await removeEmptyPacks(context)) - written;
  run.rewritten = due.filter(({ id }) => !left.has(id));
  run.deadBytes = context.index.database.snapshot(() => deadBytes(surveyPacks(context)));
}

/**
 * An everyday run leaves to the next one what the log frees; a full one rewrites packs again, to
 * give back everything.
 */
async function compactDueLog(run: CollectRun): Promise<void> {
  const { context, scope, options } = run;
  const { full, erase } = options;
  if (!scope.isFirst || scope.isOver || !isLogDue(context.index, options)) return;
  run.freedBytes -= await compactLog(context, erase, scope, options);
  if ((!full && !erase) || scope.isOver) return;
  const due = await claimDuePacks(context, options, scope);
  const numbers = due.map(({ id }) => id);
  const { written } = await rewritePacks(context, numbers, scope, options);
  run.freedBytes += (await removeEmptyPacks(context)) - written;
}

async function dropStaleFingerprints({ context, scope, options }: CollectRun): Promise<void> {
  const { full, signal } = options;
  if (!full || !scope.isFirst || scope.isOver) return;
  const isDue = context.index.database.snapshot(() => {
    context.index.refresh();
    return areFingerprintsDue(context.index);
  });
  if (isDue) await rebuildFingerprints(context, signal);
}

async function dropUnusedNames({ context, options }: CollectRun): Promise<void> {
  const { full, erase, signal } = options;
  if (full || erase) await forgetUnusedNames(context, signal);
}

async function eraseTraces(run: CollectRun): Promise<void> {
  const { context, options, scope } = run;
  if (options.erase) run.remnants = await finishErasure(context, options, scope);
}

async function shrinkIndex({ context, options }: CollectRun): Promise<void> {
  await shrink(context.index.database, options.signal);
  context.folder.assertIndex();
}

function removeLocks(run: CollectRun): void {
  removeDeadLocks(run.context.root);
  run.isComplete = !run.scope.isOver && run.remnants.length === 0;
}

function countWaiting(run: CollectRun): void {
  const { index } = run.context;
  run.waiting = index.database.snapshot(() => {
    index.refresh();
    return surveyWaiting(index, run.cutoff, run.scope);
  });
}
