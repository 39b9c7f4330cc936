import {
  accessSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { VarveError } from '../../../core/errors.ts';
import {
  createFile,
  type Modes,
  makeFolder,
  modesOf,
  type SharedWith,
} from '../files/plain-files.ts';
import { INDEX_FILE, PARTIAL_INDEX_FILE } from '../files/store-folder.ts';
import { type Database, openSqlite } from './sqlite-driver.ts';

/**
 * How long SQLite itself waits for a lock before it answers "busy", in ms. Writers wait longer,
 * without blocking.
 */
export const BUSY_TIMEOUT_MS = 250;

export interface IndexOptions {
  readonly create: boolean;
  readonly readOnly: boolean;
  /** How long a writer waits for the other processes' commits, in ms. */
  readonly lockTimeoutMs: number;
  /** Who may use what is made. Default: as the index has it. */
  readonly sharedWith?: SharedWith | undefined;
}

/** A new index beside old packs would give their names again and call what they hold garbage. */
export function assertNoPacks(root: string): void {
  const folder = join(root, 'packs');
  const pack = existsSync(folder)
    ? readdirSync(folder).find((name) => name.endsWith('.pack'))
    : undefined;
  if (pack === undefined) return;
  throw new VarveError(
    'CORRUPT',
    `the index ${join(root, INDEX_FILE)} is missing or empty, but ${join(folder, pack)} is ` +
      'there: rebuild the store from its packs with varve salvage',
  );
}

/**
 * @throws `INVALID_ARGUMENT` when a salvage into a folder was cut off: its packs lack what was not
 * written yet.
 */
export function assertFinished(root: string): void {
  // A backup has such a file, too, but no empty index.
  if (!existsSync(join(root, PARTIAL_INDEX_FILE))) return;
  if (lstatSync(join(root, INDEX_FILE), { throwIfNoEntry: false })?.size !== 0) return;
  throw new VarveError(
    'INVALID_ARGUMENT',
    `a salvage into ${root} has not ended: if it does not run any more, remove the folder, ` +
      'and salvage the store again',
  );
}

/**
 * Whether an error may be a refusal to write in disguise: SQLite cannot open, or Node cannot make a
 * folder, for whatever reason.
 */
export function isUnclear(cause: unknown): boolean {
  const code = String((cause as { code?: unknown }).code);
  return code.startsWith('SQLITE_CANTOPEN') || code === 'ENOENT';
}

/** What the operating system says about writing at `path`, if it objects. */
export function refusalOf(path: string, cause: unknown): unknown {
  if (!existsSync(path) && path !== dirname(path)) return refusalOf(dirname(path), cause);
  try {
    accessSync(path, constants.W_OK);
    return cause;
  } catch (refusal) {
    return refusal;
  }
}

export function isBusy(error: unknown): boolean {
  return String((error as { code?: unknown }).code).startsWith('SQLITE_BUSY');
}

export function prepareFolder(root: string, { create, readOnly, sharedWith }: IndexOptions): void {
  if (!create || readOnly) {
    if (!existsSync(join(root, INDEX_FILE))) assertNoPacks(root);
    throw new VarveError('NOT_FOUND', `there is no Varve store at ${root}`);
  }
  const modes = modesOf(root, sharedWith);
  makeFolder(root, modes);
  // Another process may be creating the same store right now.
  const foreign = readdirSync(root).filter(
    (name) => !['packs', 'locks', 'lost+found'].includes(name) && !name.startsWith(INDEX_FILE),
  );
  if (foreign.length > 0) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${root} is not a Varve store and is not empty (it holds ` +
        `${JSON.stringify(foreign[0])}): name a new or empty folder`,
    );
  }
  // Another process may have created the store since the caller looked.
  if (!existsSync(join(root, INDEX_FILE))) assertNoPacks(root);
  makeFolder(join(root, 'packs'), modes);
  makeFolder(join(root, 'locks'), modes);
  createIndexFile(root, modes);
}

/** SQLite would make it readable to everybody; its log and shared memory take after it. */
function createIndexFile(root: string, modes: Modes): void {
  try {
    closeSync(createFile(join(root, INDEX_FILE), modes));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/**
 * Whether SQLite could not make the memory that its connections share: the medium is read-only, or
 * full.
 */
function isUnshared(code: string): boolean {
  return (
    code === 'SQLITE_CANTOPEN' ||
    code === 'SQLITE_IOERR_SHMSIZE' ||
    code.startsWith('SQLITE_READONLY')
  );
}

/**
 * Connects to the index, which must be no link. On a medium that cannot be written, or is full,
 * SQLite cannot make the shared memory that its write-ahead log needs, so there a reader works on a
 * private copy of the index.
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
 * Connects to a private copy of the index. Only where no process has it open, for one that closes
 * it drops its locks.
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
