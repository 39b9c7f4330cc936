import type { CollectOptions, CollectReport } from '../backend.ts';
import { deleteExpired, findExpired } from './expire.ts';
import { rebuildFingerprints } from './fingerprint-rebuild.ts';
import type { MaintenanceContext } from './maintenance-context.ts';
import { removeEmptyPacks, rewritePacks } from './rewrite.ts';
import { surveyGarbage, sweep } from './sweep.ts';
import { removeDeadLocks } from './writer-lock.ts';

/** Default grace: a day. */
const GRACE_MS = 24 * 60 * 60 * 1000;

/** A pack is rewritten once less than this share of it is alive. */
const LIVE_RATIO = 0.7;

/** A pack is rewritten, too, once it has this many blocks of less than a quarter of the full size. */
const SMALL_BLOCKS = 64;

interface PackSurvey {
  readonly id: number;
  readonly size: number;
  /** Stored bytes of what is alive, by the share of each block's records. */
  readonly live: number;
  /** Blocks of less than a quarter of the full size. */
  readonly small: number;
  readonly blocks: number;
  readonly sealed: number;
}

/** Collection on a local store: expire, sweep, rewrite. Every step is a transaction of its own, so it may stop anywhere. */
export async function collectLocal(context: MaintenanceContext, options: CollectOptions): Promise<CollectReport> {
  const started = performance.now();
  const { index, owner } = context;
  const { graceMs = GRACE_MS, dryRun = false, full = false, signal } = options;
  const now = context.clock();
  const cutoff = now - graceMs;
  const expired = findExpired(context, now);
  const survey = index.database.snapshot(() => {
    index.refresh();
    return surveyGarbage(index, expired, cutoff, now);
  });
  if (dryRun) {
    const due = duePacks(context, full);
    return {
      dryRun,
      expiredManifests: expired.length,
      ...survey,
      freedBytes: due.reduce((total, { size, live }) => total + Math.max(0, size - live), 0),
      deadBytes: deadBytes(context),
      rewrittenPacks: due.length,
      durationMs: performance.now() - started,
    };
  }
  const expiredManifests = await deleteExpired(context, expired);
  // What these deletions have just released counts as well when there is no grace.
  const swept = await sweep(context, context.clock() - graceMs, options);
  if (full) {
    await owner.seal(signal);
    // Sealing tells what the dead left behind their last blocks.
    await index.database.write(() => owner.sealAbandoned(owner.abandoned()), signal);
  }
  const due = duePacks(context, full).map(({ id }) => id);
  await index.database.write(() => owner.sealAbandoned(due), signal);
  const before = packBytes(context);
  await rewritePacks(context, due, options);
  await removeEmptyPacks(context);
  const freedBytes = Math.max(0, before - packBytes(context));
  if (full) await rebuildFingerprints(context, signal);
  await index.database.shrink(signal);
  removeDeadLocks(context.root);
  return {
    dryRun,
    expiredManifests,
    ...swept,
    waitingSegments: survey.waitingSegments,
    waitingBytes: survey.waitingBytes,
    freedBytes,
    deadBytes: deadBytes(context),
    rewrittenPacks: due.length,
    durationMs: performance.now() - started,
  };
}

function surveyPacks({ index, tuning }: MaintenanceContext): PackSurvey[] {
  return index.database.all<PackSurvey>(
    `SELECT pack.id, pack.size, pack.sealed, count(block.id) AS blocks,
       coalesce(sum(length * (1.0 - CAST(dead AS REAL) / max(raw, 1))), 0) AS live,
       coalesce(sum(raw < CASE space WHEN 0 THEN ? ELSE ? END), 0) AS small
     FROM pack LEFT JOIN block ON block.pack = pack.id GROUP BY pack.id`,
    tuning.segments.blockBytes / 4,
    tuning.bodies.blockBytes / 4,
  );
}

/** The packs to rewrite: those that nobody appends to and whose rewriting gains enough. */
function duePacks(context: MaintenanceContext, full: boolean): PackSurvey[] {
  const abandoned = new Set(context.owner.abandoned());
  const due = surveyPacks(context).filter(
    (pack) => pack.size > 0 && (pack.sealed === 1 || abandoned.has(pack.id)) && isDue(pack, full),
  );
  return !full || isWorthwhile(due) ? due : [];
}

function isDue({ size, live, small }: PackSurvey, full: boolean): boolean {
  if (full) return live < size || small > 0;
  return live < size * LIVE_RATIO || small >= SMALL_BLOCKS;
}

/** Whether a full rewrite gains anything: every pack ends in a small block or two, which alone are no reason. */
function isWorthwhile(due: readonly PackSurvey[]): boolean {
  return due.length > 1 || due.some(({ live, size, small }) => live < size || small > 2);
}

function packBytes({ index }: MaintenanceContext): number {
  return index.database.value<number>('SELECT sum(size) FROM pack') ?? 0;
}

function deadBytes(context: MaintenanceContext): number {
  return Math.round(surveyPacks(context).reduce((total, { size, live }) => total + Math.max(0, size - live), 0));
}
