import { KIND_NUMBERS } from '../format/schema.ts';
import { type ManifestRow, uploaderOf } from '../tables/manifest-table.ts';
import type { AuditRun, Evidence } from './audit-run.ts';

/** Reports manifests of which a body cannot be read. */
export function checkManifests(run: AuditRun, { references }: Evidence): void {
  for (const { row, reason } of references.broken) {
    const manifests = run.keysOf([row]);
    const id = JSON.stringify(manifests[0]?.id);
    run.add({
      kind: 'corrupt-manifest',
      message: `manifest ${id} cannot be read: ${reason}`,
      manifests,
      harmful: true,
    });
  }
}

/** Reports streams whose process has ended; a collection deletes them, too. */
export async function checkUploads(run: AuditRun): Promise<void> {
  const { owner, index, commit } = run.context;
  const rows = run.index.database.all<ManifestRow>(
    'SELECT * FROM manifest WHERE kind = ? AND kind <> 0',
    KIND_NUMBERS.upload,
  );
  for (const row of rows.filter((each) => !owner.isAlive(uploaderOf(each)))) {
    const key = index.manifests.key(row);
    const repaired = run.options.repair;
    if (repaired) await commit([{ operation: 'delete', key }]);
    run.add({
      kind: 'stale-writer',
      message: `upload ${key.id} was cut off: its process is gone`,
      location: `manifest row ${row.id}`,
      repair: 'delete what it has stored, as a collection does',
      repaired,
      harmful: false,
    });
  }
}
