import type { Revision } from '../backend.ts';
import type { LocalWrite } from './commit-transaction.ts';
import type { MaintenanceContext } from './maintenance-context.ts';
import { type ManifestRow, revisionOf } from './manifest-table.ts';
import { KIND_NUMBERS } from './schema.ts';

const BATCH = 256;

/** Manifests whose time has come and that nobody holds, and uploads whose process is gone. */
export function findExpired({ index, owner }: MaintenanceContext, now: number): ManifestRow[] {
  const expired = index.database
    .all<ManifestRow>('SELECT * FROM manifest WHERE expires IS NOT NULL AND expires <= ?', now)
    .filter(({ id }) => index.holds.find(id) === undefined);
  const uploads = index.database.all<ManifestRow>(
    'SELECT * FROM manifest WHERE kind = ? AND kind <> 0',
    KIND_NUMBERS.upload,
  );
  const abandoned = uploads.filter(({ name }) => !owner.isAlive(name.toString().split('/', 1)[0] as string));
  return [...expired, ...abandoned];
}

/** Deletes them, each only if it is still as it was found. Returns how many of the interface's kinds were deleted. */
export async function deleteExpired(context: MaintenanceContext, rows: readonly ManifestRow[]): Promise<number> {
  let deleted = 0;
  for (let start = 0; start < rows.length; start += BATCH) {
    const batch = rows.slice(start, start + BATCH);
    const outcomes = await context.commit(batch.map((row) => deletion(context, row)));
    outcomes.forEach(({ status }, at) => {
      if (status === 'deleted' && batch[at]?.kind !== KIND_NUMBERS.upload) deleted++;
    });
  }
  return deleted;
}

function deletion({ index }: MaintenanceContext, row: ManifestRow): LocalWrite {
  return { operation: 'delete', key: index.manifests.key(row), ifRevision: revisionOf(row) as Revision };
}
