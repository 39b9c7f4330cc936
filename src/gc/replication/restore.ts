import type { Backend } from '../../backends/contract/backend.ts';
import type { BackupOptions, BackupReport } from '../../backends/contract/backup.ts';
import { assertEmpty, copyContent } from './copy-content.ts';

/**
 * Copies the content of a backup into a store, which must be empty.
 *
 * @throws `INVALID_ARGUMENT` when the store holds anything.
 */
export async function restoreContent(
  backup: Backend,
  target: Backend,
  options: BackupOptions,
): Promise<BackupReport> {
  await assertEmpty(target, 'a backup is restored where there is nothing yet, and');
  return copyContent(backup, target, options);
}
