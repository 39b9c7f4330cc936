import { existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { packPath } from '../files/pack-files.ts';
import { outdatedIndex, unknownCommits } from '../packs/unknown-commits.ts';
import type { AuditRun } from './audit-run.ts';
import { manifestsIn } from './check-pack-ends.ts';

/** Reports files in the packs folder that no pack of the index, as it is now, has. */
export async function checkStrayFiles(run: AuditRun): Promise<void> {
  const { context, options } = run;
  for (const path of strayFiles(context)) {
    const unknown = unknownCommits(context.index.database, path);
    if (unknown !== undefined) {
      run.add({
        kind: 'missing-data',
        message: outdatedIndex(path, 0),
        location: path,
        manifests: manifestsIn(unknown),
        harmful: true,
      });
      continue;
    }
    const repaired =
      options.repair &&
      (await removeStrayFile(context, path, () => strayFiles(context).includes(path)));
    run.add({
      kind: 'orphaned-data',
      message: `${path} does not belong to the store`,
      location: path,
      repair: 'remove the file',
      repaired,
      harmful: false,
    });
  }
}

/**
 * Files in the packs folder that the index does not name. A pack is registered before its file is
 * created, so these belong to no pack.
 */
export function strayFiles({ index, folder }: MaintenanceContext): string[] {
  if (!existsSync(folder.packs)) return [];
  const files = readdirSync(folder.packs);
  folder.assertPacks();
  const known = new Set(
    index.database
      .all<{ id: number }>('SELECT id FROM pack')
      .map(({ id }) => packPath(folder.root, id)),
  );
  // A file that is gone again was removed by a collection after the folder was read.
  return files
    .map((name) => join(folder.packs, name))
    .filter((path) => !known.has(path) && lstatSync(path, { throwIfNoEntry: false }));
}

/**
 * Removes a file that the index does not name, unless it has been registered since, or has commits
 * that the index lacks.
 */
export async function removeStrayFile(
  { index, folder }: MaintenanceContext,
  path: string,
  isStray: () => boolean,
): Promise<boolean> {
  return index.database.write(() => {
    if (!isStray() || unknownCommits(index.database, path) !== undefined) return false;
    folder.assertPacks();
    // A person has put the directory there.
    if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return false;
    rmSync(path, { force: true });
    return true;
  });
}
