import type { Backend } from '../../backends/contract/backend.ts';
import type { BackupOptions, BackupReport } from '../../backends/contract/backup.ts';
import { assertEmpty, copyContent, isEmpty } from './copy-content.ts';
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
    // A bucket that was lost and created again must not take its backup with it.
    if (await isEmpty(source))
      await assertEmpty(target, `there is nothing in ${source.location} to back up, and`);
    const report = await copyContent(source, target, options);
    // Collects what an older backup had and the store no longer has.
    await target.collect({ graceMs: 0, signal: options.signal });
    return { ...report, location: folder };
  } finally {
    await target.close();
  }
}
