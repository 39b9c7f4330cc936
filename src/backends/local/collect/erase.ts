import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import type { CollectOptions, Remnant } from '../../contract/collection.ts';
import { removeStrayFile, strayFiles } from '../audit/check-stray-files.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { emptyWriteAheadLog, rewriteFile } from '../database/index-upkeep.ts';
import { packPath } from '../files/pack-files.ts';
import { BODIES, ZONE_ROWS } from '../format/schema.ts';
import type { CollectScope } from './collect-scope.ts';
import { rebuildFingerprints } from './fingerprint-rebuild.ts';
import { stainedPacks } from './stained-packs.ts';

/**
 * How long an erasure waits, in ms, for readers that keep the write-ahead log, if it has no
 * deadline.
 */
const PATIENCE_MS = 60_000;

/**
 * Removes what was deleted from everything but packs: stray packs, fingerprints, the pages of the
 * index.
 *
 * @returns what is left, and why.
 */
export async function finishErasure(
  context: MaintenanceContext,
  options: CollectOptions,
  scope: CollectScope,
): Promise<Remnant[]> {
  await removeStrayPacks(context);
  // Fingerprints are pieces of hashes of ids and content.
  await rebuildFingerprints(context, options.signal);
  const isScrubbed = await scrubIndex(context, scope, options);
  return findRemnants(context, isScrubbed);
}

/** Removes files named like packs that the index does not know. */
async function removeStrayPacks(context: MaintenanceContext): Promise<void> {
  for (const path of strayPacks(context)) {
    await removeStrayFile(context, path, () => strayPacks(context).includes(path));
  }
}

function strayPacks(context: MaintenanceContext): string[] {
  return strayFiles(context).filter((path) => /^\d{8,}\.pack$/.test(basename(path)));
}

/**
 * Drops the names of models and applications that no manifest has any more. Their numbers may be
 * given again: the epoch makes all processes drop what they remember.
 */
export async function forgetUnusedNames(
  { index }: MaintenanceContext,
  signal?: AbortSignal,
): Promise<void> {
  await index.database.write(() => {
    // Zones whose manifests were deleted or have other names by now; then names without zones.
    index.database.run(
      `DELETE FROM zone WHERE NOT EXISTS (
         SELECT 1 FROM manifest WHERE id BETWEEN zone * ${ZONE_ROWS} AND zone * ${ZONE_ROWS} + ${ZONE_ROWS - 1}
         AND (application = zone.name OR model = zone.name))`,
    );
    const { changes } = index.database.run(
      'DELETE FROM name WHERE NOT EXISTS (SELECT 1 FROM zone WHERE zone.name = name.id)',
    );
    if (changes > 0) index.bumpEpoch();
  }, signal);
}

/**
 * Rewrites the index without the remains of deleted rows in its pages, and empties the
 * write-ahead log. Both wait for readers of an older state, up to the deadline.
 *
 * @returns whether nothing of the old pages is left.
 */
async function scrubIndex(
  { index }: MaintenanceContext,
  scope: CollectScope,
  { signal }: CollectOptions,
): Promise<boolean> {
  const end = performance.now() + PATIENCE_MS;
  const isLate = () => (scope.hasDeadline ? scope.isOver : performance.now() >= end);
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
 * Whether some manifest bodies count as needed although no manifest names them: their manifest was
 * deleted while they were damaged. They and the segments that they reference are still counted.
 * Each body belongs to one entry.
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

/** What an erasure could not remove, and why. */
function findRemnants(context: MaintenanceContext, isScrubbed: boolean): Remnant[] {
  const { root, index } = context;
  const remnants: Remnant[] = [];
  if (index.database.snapshot(() => hasOrphanedBodies(context))) {
    remnants.push({
      location: root,
      reason:
        'a manifest could not be read when it was deleted or replaced, so what it held ' +
        'still counts as needed: audit with repair, replace what that cannot repair, then ' +
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
