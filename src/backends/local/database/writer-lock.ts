import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createFile, makeFolder, modesOf } from '../files/plain-files.ts';
import { type Database, openSqlite } from './sqlite-driver.ts';

/**
 * Finds out whether the process that owns something is still alive, without trusting process ids.
 *
 * Each writing process keeps an exclusive SQLite lock on a file of its own. The operating system
 * drops the lock when the process ends, however it ends and in whatever container it ran, so "can I
 * take its lock?" is "is it dead?".
 */
export class WriterLock {
  /** Names the owner in the index. Never used twice. */
  readonly name: string;
  readonly #path: string;
  readonly #connection: Database;

  constructor(root: string) {
    const folder = locksFolder(root);
    const modes = modesOf(root, undefined);
    makeFolder(folder, modes);
    for (;;) {
      const name = randomUUID();
      const path = join(folder, `${name}.lock`);
      closeSync(createFile(path, modes));
      const connection = openIfThere(path);
      if (connection === undefined) continue;
      connection.exec('PRAGMA journal_mode = MEMORY');
      connection.exec('BEGIN EXCLUSIVE');
      // Until it was locked the file looked like one of the dead, and somebody may have removed it.
      // Whoever removes one holds its lock, so from now on it stays.
      if (existsSync(path)) {
        this.name = name;
        this.#path = path;
        this.#connection = connection;
        return;
      }
      connection.close();
    }
  }

  release(): void {
    this.abandon();
    rmSync(this.#path, { force: true });
  }

  /** As {@link release}, where the path of the file leads somewhere else by now. */
  abandon(): void {
    this.#connection.close();
  }
}

/** Never creates the file, with a mode of SQLite's own. */
function openIfThere(path: string): Database | undefined {
  try {
    return openSqlite(path, { fileMustExist: true });
  } catch (error) {
    if (existsSync(path)) throw error;
    return undefined;
  }
}

/** Whether the owner of that name still runs. */
export function isWriterAlive(root: string, name: string): boolean {
  return !underLock(join(locksFolder(root), `${name}.lock`), () => {});
}

/** Removes the lock files of the dead. */
export function removeDeadLocks(root: string): void {
  if (!existsSync(locksFolder(root))) return;
  for (const file of readdirSync(locksFolder(root))) {
    const path = join(locksFolder(root), file);
    if (file.endsWith('.lock')) underLock(path, () => rmSync(path, { force: true }));
  }
}

/**
 * Runs `work` while holding a lock that nobody else holds; returns whether it could. A file that is
 * gone has no holder, nor has a link, which no process made.
 */
function underLock(path: string, work: () => void): boolean {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isFile()) return true;
  let connection: Database | undefined;
  try {
    // Never creates the file: its owner may be about to check that it is still there.
    connection = openSqlite(path, { timeout: 0, fileMustExist: true });
    // No file beside it, so that a look changes nothing.
    connection.exec('PRAGMA journal_mode = MEMORY');
    connection.exec('BEGIN EXCLUSIVE');
  } catch {
    connection?.close();
    return !existsSync(path);
  }
  try {
    work();
  } finally {
    connection.close();
  }
  return true;
}

function locksFolder(root: string): string {
  return join(root, 'locks');
}
