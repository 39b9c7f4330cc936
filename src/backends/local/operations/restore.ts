import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { VarveError } from '../../../core/errors.ts';
import { toVarveError } from '../../../core/system/system-error.ts';
import type { BackupOptions, BackupReport } from '../../contract/backup.ts';
import { inspectIndex } from '../database/open-index.ts';
import { assertPlain } from '../files/plain-files.ts';
import { INDEX_FILE, StoreFolder } from '../files/store-folder.ts';
import { BACKUP_MARK } from '../format/schema.ts';
import { backUp } from './backup.ts';

/**
 * Creates a store from a backup, in a new or empty folder; the backup stays unchanged.
 *
 * @throws `NOT_FOUND` when there is no backup, `INVALID_ARGUMENT` when the folder of the store is
 *   not empty.
 */
export async function restoreBackup(
  backup: string,
  target: string,
  options: BackupOptions,
): Promise<BackupReport> {
  const [from, to] = [resolve(backup), resolve(target)];
  try {
    assertPlain(from);
    if (!existsSync(join(from, INDEX_FILE))) {
      throw new VarveError('NOT_FOUND', `there is no backup at ${from}`);
    }
    const [other] = existsSync(to) ? readdirSync(to).filter((name) => name !== 'lost+found') : [];
    if (other !== undefined) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `${to} is not empty (it holds ${JSON.stringify(other)}): a backup is restored into ` +
          'a new or empty folder',
      );
    }
    const index = inspectIndex(join(from, INDEX_FILE));
    const folder = new StoreFolder(from);
    try {
      folder.pin();
      if (index.meta(BACKUP_MARK) === 0) {
        throw new VarveError(
          'INVALID_ARGUMENT',
          `${from} holds a store, not a backup, or a backup that was written to: open it as ` +
            'a store, or back that up',
        );
      }
      return await backUp(folder, index, to, options, undefined);
    } finally {
      index.close();
      folder.close();
    }
  } catch (cause) {
    throw toVarveError(cause, `restoring ${from} to ${to}`);
  }
}
