import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { INDEX_FILE } from '../files/store-folder.ts';
import { type Database, openSqlite } from './sqlite-driver.ts';

/**
 * How long SQLite itself waits for a lock before it answers "busy", in ms. Writers wait longer,
 * without blocking.
 */
export const BUSY_TIMEOUT_MS = 250;

/** Memory for SQLite's page cache, in KiB. */
export const CACHE_KIB = 32 * 1024;

/**
 * The same for work that reads each page once: with more, a sweep of a million segments takes no
 * less time.
 */
export const SWEEP_CACHE_KIB = 8 * 1024;

/** Whether SQLite could not make the memory that its connections share. */
function isUnshared(code: string): boolean {
  return (
    code === 'SQLITE_CANTOPEN' ||
    code === 'SQLITE_IOERR_SHMSIZE' ||
    code.startsWith('SQLITE_READONLY')
  );
}

/**
 * Connects to the index, which must not be a link. On a medium that is read-only or full, SQLite
 * cannot make the shared memory that its write-ahead log needs: there a reader works on a private
 * copy of the index.
 */
export function connect(
  path: string,
  readOnly: boolean,
): { connection: Database; copy: string | undefined } {
  const options = { timeout: BUSY_TIMEOUT_MS, fileMustExist: readOnly, readonly: readOnly };
  const connection = openSqlite(path, options);
  try {
    connection.exec('PRAGMA schema_version');
    return { connection, copy: undefined };
  } catch (error) {
    connection.close();
    const { code } = error as { code?: string };
    if (!readOnly || !isUnshared(code ?? '')) throw error;
  }
  return connectToCopy(path);
}

/**
 * Connects to a private copy of the index. Only where this process does not have the index open:
 * closing the file that is copied would drop the locks of this process on it.
 */
export function connectToCopy(path: string): { connection: Database; copy: string } {
  const copy = mkdtempSync(join(tmpdir(), 'varve-index-'));
  try {
    for (const suffix of ['', '-wal']) {
      if (existsSync(path + suffix)) copyFileSync(path + suffix, join(copy, INDEX_FILE + suffix));
    }
    return { connection: openSqlite(join(copy, INDEX_FILE), { timeout: BUSY_TIMEOUT_MS }), copy };
  } catch (error) {
    rmSync(copy, { recursive: true, force: true });
    throw error;
  }
}
