import { lstatSync, rmSync } from 'node:fs';
import { slicesOf } from '../../../core/batches.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import type { FingerprintEntry } from '../format/fingerprint.ts';
import { SEGMENTS, SWEPT } from '../format/schema.ts';
import { unknownCommits } from '../packs/unknown-commits.ts';
import { DeadBytes } from '../tables/dead-bytes.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { WrongCount } from './audit-survey.ts';

/** Records mended in one transaction. */
const BATCH = 5000;

/**
 * Sets counts right. Writers may have changed a count since the audit's snapshot, so what is
 * applied is the difference that the audit found, not the value. A record that was condemned
 * although it is referenced comes back to life: its bytes are still there.
 */
export async function repairCounts(
  { index, clock }: MaintenanceContext,
  wrong: readonly WrongCount[],
): Promise<void> {
  for (const batch of slicesOf(wrong, BATCH)) {
    await index.database.write(() => {
      index.refresh();
      const revived = new DeadBytes();
      for (const { space, record, stored, actual } of batch) {
        const current = index.ledger.count(space, record);
        if (current === SWEPT) revived.add(index, space, record);
        index.ledger.set(
          space,
          record,
          Math.max(0, Math.max(0, current) + actual - Math.max(0, stored)),
          clock(),
        );
      }
      for (const [block, bytes] of revived.byBlock)
        index.database.run('UPDATE block SET dead = dead - ? WHERE id = ?', bytes, block);
      index.bumpEpoch();
    });
  }
}

/** Enters segments and manifests that lookups missed. */
export async function repairFingerprints(
  { index }: MaintenanceContext,
  segments: FingerprintEntry[],
  manifests: FingerprintEntry[],
): Promise<void> {
  await index.database.write(() => {
    index.refresh();
    index.segmentFingerprints.add(segments);
    index.manifestFingerprints.add(manifests);
    index.bumpRuns();
  });
}

/**
 * Marks segments, so that the next put of the same bytes stores them anew under the ids that they
 * have. Those that can be read by now are left alone.
 */
export async function markDamaged(
  { index }: MaintenanceContext,
  records: readonly number[],
): Promise<void> {
  for (const batch of slicesOf(records, BATCH)) {
    await index.database.write(() => {
      index.refresh();
      const unreadable = new Set<number>();
      const damaged = batch.filter((record) => isDamagedNow(index, record, unreadable));
      for (const record of damaged)
        index.database.run('INSERT OR IGNORE INTO damage VALUES (?)', record);
      if (damaged.length > 0) index.bumpEpoch();
    });
  }
}

/** @param unreadable blocks of which that is known already. */
function isDamagedNow(index: LocalIndex, record: number, unreadable: Set<number>): boolean {
  if (index.ledger.count(SEGMENTS, record) === SWEPT) return false;
  try {
    const place = index.records.locate(SEGMENTS, record);
    if (place === undefined) return false;
    if (unreadable.has(place.block.id)) return true;
    try {
      index.records.payload(place.block);
    } catch (error) {
      if (isUnreadable(error)) unreadable.add(place.block.id);
      throw error;
    }
    index.records.segment(place);
    return false;
  } catch (error) {
    if (isUnreadable(error)) return true;
    throw error;
  }
}

/**
 * Removes a file that the index does not name, unless it has been registered since, or has commits
 * that the index lacks.
 */
export async function repairStrayFile(
  { index, folder }: MaintenanceContext,
  path: string,
  isStray: () => boolean,
): Promise<boolean> {
  return index.database.write(() => {
    if (!isStray() || unknownCommits(index.database, path) !== undefined) return false;
    folder.assertPacks();
    // Whoever put a directory there knows what is in it.
    if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return false;
    rmSync(path, { force: true });
    return true;
  });
}
