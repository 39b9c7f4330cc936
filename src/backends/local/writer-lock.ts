import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';

/**
 * Tells whether the process that owns something is still alive, without trusting process ids.
 *
 * Each writing process keeps an exclusive SQLite lock on a file of its own. The operating system drops the lock when the
 * process ends, however it ends and in whatever container it ran, so "can I take its lock?" is "is it dead?".
 */
export class WriterLock {
  /** Names the owner in the index. Never used twice. */
  readonly name: string;
  readonly #path: string;
  readonly #connection: Sqlite.Database;

  constructor(root: string) {
    const folder = locksFolder(root);
    mkdirSync(folder, { recursive: true });
    this.name = randomUUID();
    this.#path = join(folder, `${this.name}.lock`);
    this.#connection = new Sqlite(this.#path);
    this.#connection.pragma('journal_mode = MEMORY');
    this.#connection.exec('BEGIN EXCLUSIVE');
  }

  release(): void {
    this.#connection.close();
    rmSync(this.#path, { force: true });
  }
}

/** Whether the owner of that name still runs. */
export function isWriterAlive(root: string, name: string): boolean {
  const path = join(locksFolder(root), `${name}.lock`);
  if (!existsSync(path)) return false;
  const connection = new Sqlite(path, { timeout: 0 });
  try {
    connection.exec('BEGIN EXCLUSIVE');
    return false;
  } catch {
    return true;
  } finally {
    connection.close();
  }
}

/** Removes the lock files of the dead. */
export function removeDeadLocks(root: string): void {
  if (!existsSync(locksFolder(root))) return;
  for (const file of readdirSync(locksFolder(root))) {
    const name = file.replace(/\.lock$/, '');
    if (name !== file && !isWriterAlive(root, name)) rmSync(join(locksFolder(root), file), { force: true });
  }
}

function locksFolder(root: string): string {
  return join(root, 'locks');
}
