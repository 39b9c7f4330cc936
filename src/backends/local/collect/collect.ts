import type { CollectReport, CollectSettings, Remnant } from '../../contract/maintenance.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { shrink } from '../database/index-upkeep.ts';
import { removeDeadLocks } from '../database/writer-lock.ts';
import { planSweep } from './collect-plan.ts';
import { CollectScope, cutoffOf } from './collect-scope.ts';
import {
  claimStainedPacks,
  findRemnants,
  forgetUnusedNames,
  removeStrayPacks,
  scrubIndex,
} from './erase.ts';
import { deleteExpired } from './expire.ts';
import { rebuildFingerprints } from './fingerprint-rebuild.ts';
import { compactLog, isLogDue } from './log-compaction.ts';
import {
  deadBytes,
  duePacks,
  type PackSurvey,
  rewriteReasons,
  share,
  surveyPacks,
} from './pack-survey.ts';
import { removeEmptyPacks, rewritePacks } from './rewrite.ts';
import { surveyWaiting, sweep } from './sweep.ts';

/**
 * Collection on a local store: expire, sweep, rewrite. Every step is a transaction of its own, so
 * it may stop anywhere and the next run goes on from there. Shards divide records, manifests and
 * packs by their numbers.
 */
export async function collectLocal(
  context: MaintenanceContext,
  options: CollectSettings,
): Promise<CollectReport> {
  const scope = new CollectScope(options);
  return options.dryRun
    ? planCollection(context, options, scope)
    : runCollection(context, options, scope);
}

function planCollection(
  context: MaintenanceContext,
  options: CollectSettings,
  scope: CollectScope,
): CollectReport {
  const started = performance.now();
  const { erase, full } = options;
  const graceMs = graceOf(options);
  const { index } = context;
  return index.database.snapshot(() => {
    index.refresh();
    const { expired, abandoned, swept, waiting, dead } = planSweep(
      context,
      graceMs,
      context.clock(),
      scope,
    );
    const packs = surveyPacks(context, dead);
    const due = erase
      ? packs.filter((pack) => deadBytes([pack]) > 0)
      : duePacks(context, packs, full, scope);
    return {
      dryRun: true,
      isComplete: true,
      reasons: {
        ...share('expired', expired),
        ...share('abandoned-upload', abandoned),
        ...share('unreferenced', swept),
        ...rewriteReasons(due, full || erase),
      },
      expiredManifests: expired.count,
      collectedSegments: swept.count,
      collectedBytes: swept.bytes,
      waitingSegments: waiting.count,
      waitingBytes: waiting.bytes,
      freedBytes: deadBytes(due),
      deadBytes: deadBytes(packs.filter((pack) => !due.includes(pack))),
      rewrittenPacks: due.length,
      durationMs: performance.now() - started,
    };
  });
}

async function runCollection(
  context: MaintenanceContext,
  options: CollectSettings,
  scope: CollectScope,
): Promise<CollectReport> {
  const started = performance.now();
  const { index } = context;
  const { erase, full, signal } = options;
  const graceMs = graceOf(options);
  const { expired, abandoned } = await deleteExpired(context, context.clock(), scope, options);
  // What these deletions have just released counts as well when there is no grace.
  const cutoff = cutoffOf(context.clock(), graceMs);
  const swept = await sweep(context, cutoff, scope, options);
  const due = scope.isOver ? [] : await claimDuePacks(context, options, scope);
  const numbers = due.map(({ id }) => id);
  const { written, left } = await rewritePacks(context, numbers, scope, options);
  const freedBytes = (await removeEmptyPacks(context)) - written;
  const dead = index.database.snapshot(() => deadBytes(surveyPacks(context)));
  const freedFromLog = await compactLogWhenDue(context, options, scope);
  if (full && scope.isFirst && !scope.isOver) await rebuildFingerprints(context, signal);
  if (full || erase) await forgetUnusedNames(context, signal);
  const remnants = erase ? await finishErasure(context, options, scope) : [];
  await shrink(index.database, signal);
  context.folder.assertIndex();
  removeDeadLocks(context.root);
  const isComplete = !scope.isOver && remnants.length === 0;
  const waiting = index.database.snapshot(() => {
    index.refresh();
    return surveyWaiting(index, cutoff, scope);
  });
  const rewritten = due.filter(({ id }) => !left.has(id));
  return {
    dryRun: false,
    isComplete,
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
    freedBytes: Math.max(0, freedBytes + freedFromLog),
    deadBytes: dead,
    rewrittenPacks: rewritten.length,
    ...(erase && { remnants }),
    durationMs: performance.now() - started,
  };
}

/**
 * Compacts the log after all else, so that a plan need not know how long a snapshot of it is. What
 * that leaves dead waits for a next run, unless this one is to give back everything.
 *
 * @returns bytes given back; below 0 when more were appended.
 */
async function compactLogWhenDue(
  context: MaintenanceContext,
  options: CollectSettings,
  scope: CollectScope,
): Promise<number> {
  const { full = false, erase = false } = options;
  if (!scope.isFirst || scope.isOver || !isLogDue(context.index, options)) return 0;
  const logged = await compactLog(context, erase, scope, options);
  if ((!full && !erase) || scope.isOver) return -logged;
  const due = await claimDuePacks(context, options, scope);
  const { written } = await rewritePacks(
    context,
    due.map(({ id }) => id),
    scope,
    options,
  );
  return (await removeEmptyPacks(context)) - written - logged;
}

/** The packs to rewrite, which nobody appends to any more. */
async function claimDuePacks(
  context: MaintenanceContext,
  { erase = false, full = false, signal }: CollectSettings,
  scope: CollectScope,
): Promise<PackSurvey[]> {
  const { index, owner } = context;
  if (erase) {
    const stained = new Set(await claimStainedPacks(context, signal));
    return surveyPacks(context).filter(({ id }) => stained.has(id));
  }
  const due = duePacks(context, surveyPacks(context), full, scope);
  const numbers = due.map(({ id }) => id);
  if (owner.current !== undefined && numbers.includes(owner.current)) await owner.seal(signal);
  if (due.length > 0) await index.database.write(() => owner.sealAbandoned(numbers), signal);
  return due;
}

/** Rids everything but packs of what was deleted. */
async function finishErasure(
  context: MaintenanceContext,
  options: CollectSettings,
  scope: CollectScope,
): Promise<Remnant[]> {
  await removeStrayPacks(context);
  // Fingerprints are pieces of hashes of ids and content.
  await rebuildFingerprints(context, options.signal);
  return findRemnants(context, await scrubIndex(context, scope, options));
}

function graceOf({ erase, graceMs }: CollectSettings): number {
  return erase ? 0 : graceMs;
}
