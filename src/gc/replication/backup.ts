import type { Backend } from '../../backends/contract/backend.ts';
import type { BackupOptions, BackupReport } from '../../backends/contract/backup.ts';
import { CopiedManifests } from './copied-manifests.ts';
import { assertEmpty, copyContent } from './copy-content.ts';
import { prepareReplica } from './replica-folder.ts';

/**
 * Copies a store into a folder. A backend that can copy its own files does so; the content of any
 * other is copied into a store in a directory.
 *
 * @param openDirectory opens the store in a directory.
 */
export async function backUp(
  source: Backend,
  folder: string,
  openDirectory: (path: string) => Promise<Backend>,
  options: BackupOptions,
): Promise<BackupReport> {
  if (source.backup !== undefined) return source.backup(folder, options);
  const target = await openDirectory(
    await prepareReplica(folder, source.location, source.identity),
  );
  try {
    const copied = await CopiedManifests.load(folder, source, target);
    let isWhole = false;
    const hooks = {
      copied,
      // A bucket that was lost and created again must not take its backup with it.
      onNothing: () =>
        assertEmpty(target, `there is nothing in ${source.location} to back up, and`),
    };
    let report: BackupReport;
    try {
      report = await copyContent(source, target, options, hooks);
      isWhole = true;
    } finally {
      await copied.save(folder, isWhole);
    }
    // Collects what an older backup had and the store no longer has.
    await target.collect({ graceMs: 0, signal: options.signal });
    return { ...report, location: folder };
  } finally {
    await target.close();
  }
}
