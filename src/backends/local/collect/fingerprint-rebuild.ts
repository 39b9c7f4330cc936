import { IdSet } from '../../../core/collections/id-set.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { SEGMENTS } from '../format/schema.ts';
import type { BlockPlace } from '../packs/record-store.ts';
import type { LocalIndex } from '../tables/local-index.ts';

/** Whether a full collection rebuilds the fingerprints. */
export function areFingerprintsDue(index: LocalIndex): boolean {
  const { database } = index;
  const segments = database.value<number>(
    'SELECT sum(records) FROM block WHERE space = ?',
    SEGMENTS,
  );
  const manifests = database.value<number>('SELECT count(*) FROM manifest');
  return (
    index.segmentFingerprints.isWasteful(segments ?? 0) ||
    index.manifestFingerprints.isWasteful(manifests ?? 0)
  );
}

/**
 * Merges the fingerprint runs of each kind into one and drops what belongs to records and manifests
 * that are gone.
 */
export async function rebuildFingerprints(
  { index }: MaintenanceContext,
  signal?: AbortSignal,
): Promise<void> {
  await index.database.write(() => {
    index.refresh();
    const segments = presentSegments(index);
    index.segmentFingerprints.rebuild((id) => segments === undefined || segments.has(id));
    const manifests = new IdSet();
    for (const { id } of index.database.all<{ id: number }>('SELECT id FROM manifest'))
      manifests.add(id);
    index.manifestFingerprints.rebuild((id) => manifests.has(id));
    index.bumpRuns();
  }, signal);
}

/**
 * The record ids of all segments that some block holds; `undefined` when a block is damaged,
 * because then they are unknown.
 */
function presentSegments(index: LocalIndex): IdSet | undefined {
  const present = new IdSet();
  const blocks = index.database.all<BlockPlace>(
    'SELECT id, pack, start, length FROM block WHERE space = ?',
    SEGMENTS,
  );
  try {
    for (const block of blocks)
      for (const id of index.records.directory(block).ids) present.add(id);
  } catch (error) {
    if (isUnreadable(error)) return undefined;
    throw error;
  }
  return present;
}
