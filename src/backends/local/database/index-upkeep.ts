import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { INDEX_FILE } from '../files/store-folder.ts';
import { CACHE_KIB, SWEEP_CACHE_KIB } from './connect.ts';
import type { IndexDatabase } from './index-database.ts';
import { headerTable } from './migrations.ts';
import { isBusy, openSqlite } from './sqlite-driver.ts';

/** Gives free pages back to the file system, and empties the write-ahead log if possible. */
export async function shrink(database: IndexDatabase, signal?: AbortSignal): Promise<void> {
  await database.write(() => database.execute('PRAGMA incremental_vacuum'), signal);
  checkpoint(database);
}

/** Copies the write-ahead log into the database and empties it, as far as others allow. */
export function checkpoint(database: IndexDatabase): void {
  try {
    database.execute('PRAGMA wal_checkpoint(TRUNCATE)');
  } catch (error) {
    // Somebody reads or writes just now, or the disk is full: then a later checkpoint does it.
    if (!isBusy(error) && (error as { code?: unknown }).code !== 'SQLITE_FULL') throw error;
  }
}

/**
 * Copies the write-ahead log into the database and empties it. Returns `false` when somebody reads
 * or writes: then call again.
 */
export function emptyWriteAheadLog(database: IndexDatabase): boolean {
  try {
    return database.get<{ busy: number }>('PRAGMA wal_checkpoint(TRUNCATE)')?.busy === 0;
  } catch (error) {
    if (isBusy(error)) return false;
    throw error;
  }
}

/**
 * Rewrites the whole file, so that nothing of deleted rows is left in it. Blocks this process, and
 * writers, for about a second for every 100 MB. Returns `false` when another process was writing:
 * then call again.
 */
export function rewriteFile(database: IndexDatabase): boolean {
  try {
    // A page built in memory that was used before would carry what was in it.
    database.execute('PRAGMA secure_delete = ON');
    database.execute('VACUUM');
    return true;
  } catch (error) {
    if (isBusy(error)) return false;
    throw error;
  } finally {
    database.execute('PRAGMA secure_delete = OFF');
  }
}

/**
 * Writes a copy of the index as it is at one moment to `path`, which must not exist or be empty;
 * not flushed. Blocks this process for about a second for every 100 MB, and nobody else.
 *
 * @param meta entries of the copy's own, `undefined` to leave one out.
 */
export function copyInto(
  database: IndexDatabase,
  path: string,
  meta: Readonly<Record<string, number | undefined>>,
): void {
  database.execute(`VACUUM INTO '${path.replaceAll("'", "''")}'`);
  const copy = openSqlite(path, { fileMustExist: true });
  const table = headerTable(database.format);
  try {
    for (const [key, value] of Object.entries(meta)) {
      const name = key.replaceAll("'", "''");
      copy.exec(`DELETE FROM ${table} WHERE key = '${name}'`);
      if (value !== undefined)
        copy.exec(`INSERT INTO ${table} VALUES ('${name}', ${Math.floor(value)})`);
    }
  } finally {
    copy.close();
  }
}

/** What SQLite finds wrong with the file, the first few faults; empty when it is sound. */
export function integrityFaults(database: IndexDatabase): string[] {
  const rows = database.all<{ quick_check: string }>('PRAGMA quick_check(5)');
  return rows.map(({ quick_check }) => quick_check).filter((fault) => fault !== 'ok');
}

/** Runs work that reads each page once, with little memory for pages. */
export async function withSmallCache<Result>(
  database: IndexDatabase,
  work: () => Promise<Result>,
): Promise<Result> {
  database.execute(`PRAGMA cache_size = -${SWEEP_CACHE_KIB}`);
  try {
    return await work();
  } finally {
    if (database.isOpen) database.execute(`PRAGMA cache_size = -${CACHE_KIB}`);
  }
}

/** Bytes of the index of a store, and of SQLite's files beside it. */
export function indexBytes(root: string): number {
  return [INDEX_FILE, `${INDEX_FILE}-wal`, `${INDEX_FILE}-shm`].reduce((total, name) => {
    const path = join(root, name);
    return total + (existsSync(path) ? statSync(path).size : 0);
  }, 0);
}
