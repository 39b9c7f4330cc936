import { accessSync, constants, existsSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { VarveError } from '../../../core/errors.ts';
import { toVarveError } from '../../../core/system/system-error.ts';
import { assertOneName, assertPlain, makeFolder, modesOf } from '../files/plain-files.ts';
import type { StoreFolder } from '../files/store-folder.ts';
import { FORMAT_VERSION } from '../format/schema.ts';
import { CACHE_KIB, connect } from './connect.ts';
import { IndexDatabase } from './index-database.ts';
import { assertNoPacks, type IndexOptions, prepareFolder } from './index-file.ts';
import { addZones, createSchema, readFormat, upgrade } from './index-format.ts';
import { standInFor } from './migrations.ts';
import { SqlConnection } from './sql-connection.ts';
import { openSqlite } from './sqlite-driver.ts';

/**
 * The write-ahead log is copied into the database when it has grown to this many pages of 4 KiB.
 */
const CHECKPOINT_PAGES = 4000;

/** What a write-ahead log file is cut back to after a checkpoint, in bytes. */
const WAL_LIMIT = 32 * 1024 * 1024;

/**
 * Opens the index of a store, creating it where allowed, and pins its folder.
 *
 * @throws `NOT_FOUND` when there is none and it may not be created, `INVALID_ARGUMENT` when the
 *   folder holds something else, `UNSUPPORTED_FORMAT` when a newer Varve wrote it, `CORRUPT` when
 *   it is not an index.
 */
export function openIndex(folder: StoreFolder, options: IndexOptions): IndexDatabase {
  const { root, index: path } = folder;
  const { readOnly, lockTimeoutMs } = options;
  try {
    assertPlain(root);
    if (!existsSync(path)) prepareFolder(root, options);
    else if (!readOnly) {
      accessSync(path, constants.W_OK);
      assertOneName(root);
      makeFolder(join(root, 'packs'), modesOf(root, options.sharedWith));
    }
    const { connection, copy } = connect(path, readOnly);
    try {
      const format = setUp(new SqlConnection(connection), path, readOnly);
      folder.pin();
      return new IndexDatabase(connection, { format, lockTimeoutMs, copy, folder });
    } catch (error) {
      connection.close();
      if (copy !== undefined) rmSync(copy, { recursive: true, force: true });
      throw error;
    }
  } catch (cause) {
    throw toVarveError(
      isUnclear(cause) ? refusalOf(root, cause) : cause,
      `opening the store at ${root}`,
    );
  }
}

/** The index at `path`, for reading; creates and changes nothing. Close it soon. */
export function inspectIndex(path: string): IndexDatabase {
  const connection = openSqlite(path, { readonly: true, fileMustExist: true });
  try {
    const format = setUp(new SqlConnection(connection), path, true);
    return new IndexDatabase(connection, { format, lockTimeoutMs: 0 });
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** Brings the index into the format of this version, if it may be written; returns its format. */
function setUp(connection: SqlConnection, path: string, readOnly: boolean): number {
  // Before anything is set: another program's database stays as it is.
  let format = readFormat(connection, path);
  if (!readOnly) setUpWriting(connection, format === 0);
  if (format === 0 && !readOnly) {
    createSchema(connection, path);
    format = readFormat(connection, path);
  }
  if (format === 0) {
    assertNoPacks(dirname(path));
    throw new VarveError(
      'NOT_FOUND',
      `there is no Varve store at ${dirname(path)}: ${path} is empty`,
    );
  }
  if (format < FORMAT_VERSION) {
    if (readOnly) connection.execute(standInFor(format));
    else upgrade(connection, path);
  }
  if (!readOnly) addZones(connection);
  connection.execute(`PRAGMA cache_size = -${CACHE_KIB}`);
  return readOnly ? format : FORMAT_VERSION;
}

function setUpWriting(connection: SqlConnection, isNew: boolean): void {
  // Kept in the file; to set it again would write there.
  if (isNew) connection.execute('PRAGMA auto_vacuum = INCREMENTAL');
  connection.execute('PRAGMA journal_mode = WAL');
  // Only once WAL is on: before that, better-sqlite3 runs NORMAL in WAL, whatever the pragma
  // reports.
  connection.execute('PRAGMA synchronous = FULL');
  connection.execute(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  connection.execute(`PRAGMA journal_size_limit = ${WAL_LIMIT}`);
}

/**
 * Whether an error may hide a refusal to write: SQLite cannot open a file, or Node cannot make a
 * folder, and neither says why.
 */
function isUnclear(cause: unknown): boolean {
  const code = String((cause as { code?: unknown }).code);
  return code.startsWith('SQLITE_CANTOPEN') || code === 'ENOENT';
}

/** The error of the operating system about writing at `path`, if it objects; else `cause`. */
function refusalOf(path: string, cause: unknown): unknown {
  if (!existsSync(path) && path !== dirname(path)) return refusalOf(dirname(path), cause);
  try {
    accessSync(path, constants.W_OK);
    return cause;
  } catch (refusal) {
    return refusal;
  }
}
