import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import type { CollectOptions, Remnant } from '../../contract/maintenance.ts';
import { removeStrayFile, strayFiles } from '../audit/check-stray-files.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { emptyWriteAheadLog, rewriteFile } from '../database/index-upkeep.ts';
import { packLength, packPath } from '../files/pack-files.ts';
import { BODIES } from '../format/schema.ts';
import type { CollectScope } from './collect-scope.ts';

/**
 * How long an erasure waits for readers that keep the write-ahead log, unless a deadline is given,
 * in ms.
 */
const PATIENCE_MS = 60_000;

interface StainedPack {
  readonly id: number;
  readonly size: number;
  readonly sealed: number;
  /** Bytes of its blocks. */
  readonly blocks: number;
  /** Whether a block of it holds something that was swept. */
  readonly hasSwept: number;
}

/**
 * The packs that hold any byte of what is not alive: swept records, blocks that were moved, what a
 * commit that did not happen left.
 */
function stainedPacks({ root, index }: MaintenanceContext): StainedPack[] {
  const packs = index.database.all<StainedPack>(
    `SELECT pack.id, pack.size, pack.sealed, coalesce(sum(length), 0) AS blocks, coalesce(max(dead > 0), 0) AS hasSwept
     FROM pack LEFT JOIN block ON block.pack = pack.id GROUP BY pack.id`,
  );
  return packs.filter(({ id, size, blocks, hasSwept }) => {
    return hasSwept === 1 || Math.max(size, packLength(root, id)) > blocks;
  });
}

/**
 * Seals every pack that is to be rewritten, whoever appends to it: its owner notices before it
 * appends again, and goes on in a new one.
 *
 * @returns their numbers.
 */
export async function claimStainedPacks(
  context: MaintenanceContext,
  signal?: AbortSignal,
): Promise<number[]> {
  const { index, owner } = context;
  const { current } = owner;
  if (current !== undefined && stainedPacks(context).some(({ id }) => id === current))
    await owner.seal(signal);
  return index.database.write(() => {
    const packs = stainedPacks(context);
    owner.revoke(packs.filter(({ sealed }) => sealed === 0).map(({ id }) => id));
    return packs.map(({ id }) => id);
  }, signal);
}

/** Removes files like packs that the index does not name: what they hold is nobody's. */
export async function removeStrayPacks(context: MaintenanceContext): Promise<void> {
  for (const path of strayPacks(context)) {
    await removeStrayFile(context, path, () => strayPacks(context).includes(path));
  }
}

function strayPacks(context: MaintenanceContext): string[] {
  return strayFiles(context).filter((path) => /^\d{8,}\.pack$/.test(basename(path)));
}

/**
 * Forgets the names of models and applications that no manifest has any more. Their numbers may be
 * given again, which the epoch tells all who remember them.
 */
export async function forgetUnusedNames(
  { index }: MaintenanceContext,
  signal?: AbortSignal,
): Promise<void> {
  await index.database.write(() => {
    const { changes } = index.database.run(
      `DELETE FROM name WHERE id NOT IN (
         SELECT application FROM manifest WHERE application IS NOT NULL
         UNION SELECT model FROM manifest WHERE model IS NOT NULL)`,
    );
    if (changes > 0) index.bumpEpoch();
  }, signal);
}

/**
 * Writes the index anew, without what deleted rows have left in its pages, and empties the
 * write-ahead log. Both wait for those who read an older state, up to the deadline.
 *
 * @returns whether nothing of the old pages is left.
 */
export async function scrubIndex(
  { index }: MaintenanceContext,
  scope: CollectScope,
  { deadlineMs, signal }: CollectOptions,
): Promise<boolean> {
  const end = performance.now() + PATIENCE_MS;
  const isLate = () => (deadlineMs === undefined ? performance.now() >= end : scope.isOver);
  await index.database.write(() => index.bumpErasures(), signal);
  for (const step of [
    () => rewriteFile(index.database),
    () => emptyWriteAheadLog(index.database),
  ]) {
    while (!step()) {
      throwIfAborted(signal);
      if (isLate()) return false;
      await sleep(20 + Math.random() * 60);
    }
  }
  return true;
}

/**
 * Whether there are manifest bodies that count as needed and that no manifest names: those that
 * were damaged when theirs was deleted, along with the references in them. Each body is of one
 * entry.
 */
function hasOrphanedBodies({ index }: MaintenanceContext): boolean {
  const { database } = index;
  const stored =
    database.value<number>('SELECT sum(records) FROM block WHERE space = ?', BODIES) ?? 0;
  const gone =
    database.value<number>('SELECT count(*) FROM state WHERE space = ? AND refs <= 0', BODIES) ?? 0;
  const named = database.value<number>(
    'SELECT (SELECT count(body) FROM manifest) + (SELECT count(*) FROM entry)',
  );
  return stored - gone > (named ?? 0);
}

/** What an erasure has not got rid of, and why. */
export function findRemnants(context: MaintenanceContext, isScrubbed: boolean): Remnant[] {
  const { root, index } = context;
  const remnants: Remnant[] = [];
  if (index.database.snapshot(() => hasOrphanedBodies(context))) {
    remnants.push({
      location: root,
      reason:
        'a manifest could not be read when it was deleted or replaced, so what it held ' +
        'still counts as needed: audit with repair, replace what that cannot mend, then ' +
        'erase again',
    });
  }
  for (const { id, sealed } of stainedPacks(context)) {
    remnants.push({
      location: packPath(root, id),
      reason:
        sealed === 1
          ? 'it could not be rewritten whole, because it is damaged or the deadline came ' +
            'first: audit the store'
          : 'it was written to meanwhile: erase again',
    });
  }
  for (const location of strayPacks(context)) {
    remnants.push({ location, reason: 'it holds commits that the index lacks: audit the store' });
  }
  if (!isScrubbed) {
    remnants.push({
      location: join(root, 'varve.db-wal'),
      reason:
        'a process has been reading an older state of the index all the time: end its ' +
        'reads, then erase again',
    });
  }
  return remnants;
}
