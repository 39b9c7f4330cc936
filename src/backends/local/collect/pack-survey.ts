import type { CollectReport, CollectShare } from '../../contract/collection.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { packLength } from '../files/pack-files.ts';
import { LOG } from '../format/schema.ts';
import type { CollectScope } from './collect-scope.ts';

/** A pack with a smaller live share is rewritten. */
const LIVE_RATIO = 0.7;

/** The same for a full collection: it rewrites at most 20 bytes for each that it frees. */
const FULL_LIVE_RATIO = 0.95;

/** A full collection rewrites a pack of up to this size for any dead byte, because it is fast. */
const FAST_PACK_BYTES = 4 * 1024 * 1024;

/** A pack with this many blocks below a quarter of the full size is rewritten, too. */
const SMALL_BLOCKS = 64;

/** Sizes of a pack, from the index alone. */
export interface PackSurvey {
  readonly id: number;
  /** Stored bytes; for an open pack including the rest of a failed commit at its end. */
  readonly size: number;
  readonly sealed: number;
  /** Stored bytes of live data, by the share of each block's records. */
  readonly live: number;
  /** Number of blocks, without those of the log, which move along with others. */
  readonly blocks: number;
  /** Of these, those of less than a quarter of the full size. */
  readonly small: number;
  /** Number of blocks of full size for the same content. */
  readonly ideal: number;
}

/**
 * All packs.
 *
 * @param swept bytes before compression, by block, to count as dead besides those that are.
 */
export function surveyPacks(
  { root, index, tuning }: MaintenanceContext,
  swept: ReadonlyMap<number, number> = new Map(),
): PackSurvey[] {
  const packs = index.database.all<PackSurvey>(
    `SELECT pack.id, pack.size, pack.sealed, coalesce(sum(space <> ${LOG}), 0) AS blocks,
       coalesce(sum(length * (1.0 - CAST(dead AS REAL) / max(raw, 1))), 0) AS live,
       coalesce(sum((space <> ${LOG}) * raw * 1.0 / CASE space WHEN 0 THEN ? ELSE ? END), 0) AS ideal,
       coalesce(sum(space <> ${LOG} AND raw * 4 < CASE space WHEN 0 THEN ? ELSE ? END), 0) AS small
     FROM pack LEFT JOIN block ON block.pack = pack.id GROUP BY pack.id`,
    ...[
      tuning.segments.blockBytes,
      tuning.bodies.blockBytes,
      tuning.segments.blockBytes,
      tuning.bodies.blockBytes,
    ],
  );
  const died = new Map<number, number>();
  for (const [id, bytes] of swept) {
    const block = index.database.get<{ pack: number; length: number; raw: number }>(
      'SELECT pack, length, raw FROM block WHERE id = ?',
      id,
    );
    if (block === undefined) continue;
    died.set(
      block.pack,
      (died.get(block.pack) ?? 0) + (block.length * bytes) / Math.max(block.raw, 1),
    );
  }
  return packs.map((pack) => {
    const length = pack.sealed === 1 ? 0 : packLength(root, pack.id);
    return {
      ...pack,
      size: Math.max(pack.size, length),
      live: pack.live - (died.get(pack.id) ?? 0),
    };
  });
}

/**
 * Of the packs, those to rewrite: no other process appends to them, and rewriting them gains
 * enough.
 */
export function duePacks(
  { owner }: MaintenanceContext,
  packs: readonly PackSurvey[],
  full: boolean,
  scope: CollectScope,
): PackSurvey[] {
  // The pack of this process can be sealed at any time.
  const free = new Set([owner.current, ...owner.abandoned()]);
  const due = packs.filter(
    (pack) =>
      pack.size > 0 &&
      scope.hasNumber(pack.id) &&
      (pack.sealed === 1 || free.has(pack.id)) &&
      isDue(pack, full, owner.packBytes),
  );
  return !full || isWorthwhile(due) ? due : [];
}

/** Stored bytes that are dead in the given packs. */
export function deadBytes(packs: readonly PackSurvey[]): number {
  return Math.round(packs.reduce((total, pack) => total + deadIn(pack), 0));
}

/** Why these packs are rewritten. */
export function rewriteReasons(
  due: readonly PackSurvey[],
  full: boolean,
): CollectReport['reasons'] {
  const dead = due.filter((pack) => (full ? deadIn(pack) > 0 : isMostlyDead(pack)));
  const small = due.filter((pack) => !dead.includes(pack));
  return {
    ...share('dead-space', { count: dead.length, bytes: deadBytes(dead) }),
    ...share('small-blocks', { count: small.length, bytes: deadBytes(small) }),
  };
}

/** A reason for the report, unless it did not occur. */
export function share<Reason extends string>(reason: Reason, { count, bytes }: CollectShare) {
  return count === 0 ? {} : ({ [reason]: { count, bytes } } as Record<Reason, CollectShare>);
}

/** Less than half a byte is a rounding error. */
function deadIn({ size, live }: PackSurvey): number {
  return size - live < 0.5 ? 0 : size - live;
}

function isMostlyDead({ live, size }: PackSurvey): boolean {
  return live < size * LIVE_RATIO;
}

function isDue(pack: PackSurvey, full: boolean, packBytes: number): boolean {
  const { size, small } = pack;
  if (!full) return isMostlyDead(pack) || (small >= SMALL_BLOCKS && isScattered(pack));
  return isDeadEnough(pack) || isScattered(pack) || (small > 0 && size < packBytes / 4);
}

/** Whether a full collection rewrites a pack for its dead bytes alone. */
function isDeadEnough(pack: PackSurvey): boolean {
  const { live, size } = pack;
  return deadIn(pack) > 0 && (live < size * FULL_LIVE_RATIO || size <= FAST_PACK_BYTES);
}

/**
 * Whether merging reduces the number of blocks. A rewrite joins whole blocks, so two neighbours
 * that it leaves apart are together larger than one full block: it leaves at most twice as many
 * blocks as necessary, and one for each of its steps. Below that limit, rewriting again would
 * change nothing.
 */
function isScattered({ blocks, ideal }: PackSurvey): boolean {
  return blocks > 2.5 * ideal + 4;
}

/** Whether a full rewrite gains anything: a small last pack alone does not justify it. */
function isWorthwhile(due: readonly PackSurvey[]): boolean {
  return due.length > 1 || due.some((pack) => isDeadEnough(pack) || pack.small > 2);
}
