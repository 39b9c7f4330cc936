import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../../core/errors.ts';
import { assertApart } from '../../../core/system/real-path.ts';
import { toVarveError } from '../../../core/system/system-error.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { inspectIndex } from '../database/open-index.ts';
import { isWriterAlive } from '../database/writer-lock.ts';
import { packPath } from '../files/pack-files.ts';
import { assertPlain, makeFolder, modesOf, syncFolder } from '../files/plain-files.ts';
import { INDEX_FILE } from '../files/store-folder.ts';
import { BACKUP_MARK, CREATED } from '../format/schema.ts';

/** The index of a backup that is not complete yet. */
export function partialIndexOf(folder: string): string {
  return join(folder, `${INDEX_FILE}.partial`);
}

/**
 * Accepts only an empty folder, or one with a backup to which nobody has written.
 *
 * @param created when the store was created, in ms; no two stores are likely to share it.
 */
export function prepareTarget(root: string, folder: string, created: number): void {
  assertApart(folder, root);
  assertPlain(folder);
  const modes = modesOf(folder, undefined);
  makeFolder(folder, modes);
  const others = readdirSync(folder).filter(
    (name) => !['packs', 'locks', 'lost+found', `${INDEX_FILE}.partial`].includes(name),
  );
  if (others.length > 0) assertBackupOf(folder, String(others[0]), created);
  makeFolder(join(folder, 'packs'), modes);
  makeFolder(join(folder, 'locks'), modes);
  const locks = readdirSync(join(folder, 'locks')).filter((name) => name.endsWith('.lock'));
  if (locks.some((name) => isWriterAlive(folder, name.slice(0, -'.lock'.length)))) {
    throw new VarveError('BUSY', `a process is writing to the backup in ${folder}: close it first`);
  }
}

/** @param found the name of something in the folder. */
function assertBackupOf(folder: string, found: string, created: number): void {
  if (!existsSync(join(folder, INDEX_FILE))) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${folder} holds ${JSON.stringify(found)}, not a backup: name a new or empty folder`,
    );
  }
  const index = inspectBackup(folder);
  try {
    if (index.meta(BACKUP_MARK) === 0) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `${folder} holds a store, or a backup that was written to: name a new or empty ` +
          'folder, or move it away',
      );
    }
    if (index.meta(CREATED) !== created) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `${folder} holds a backup of another store, made ` +
          `${new Date(index.meta(BACKUP_MARK)).toISOString()}: name a new or empty folder, ` +
          'or move it away',
      );
    }
  } finally {
    index.close();
  }
}

/** An error here concerns the backup, not the store. */
function inspectBackup(folder: string): IndexDatabase {
  try {
    return inspectIndex(join(folder, INDEX_FILE));
  } catch (cause) {
    throw toVarveError(cause, `reading the older backup in ${folder}`);
  }
}

/** Makes the copied index that of the backup: from here on the backup is the new one. */
export function publishIndex(folder: string): void {
  const partial = partialIndexOf(folder);
  syncFile(partial);
  syncFolder(join(folder, 'packs'));
  // The log of an older backup must not be applied to the new index.
  for (const suffix of ['-wal', '-shm'])
    rmSync(join(folder, `${INDEX_FILE}${suffix}`), { force: true });
  renameSync(partial, join(folder, INDEX_FILE));
  syncFolder(folder);
}

/** Removes packs that only the older backup needed. */
export function removeOtherPacks(folder: string, packs: readonly number[]): void {
  const kept = new Set(packs.map((id) => packPath(folder, id)));
  for (const name of readdirSync(join(folder, 'packs'))) {
    const path = join(folder, 'packs', name);
    if (!kept.has(path)) rmSync(path, { force: true });
  }
}

function syncFile(path: string): void {
  const file = openSync(path, 'r+');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
