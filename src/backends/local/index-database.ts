import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import { throwIfAborted, VarveError } from '../../errors.ts';
import { syncFolder } from './pack-files.ts';
import { retain } from './retained.ts';
import { APPLICATION_ID, FORMAT_VERSION, SCHEMA } from './schema.ts';
import { toVarveError } from './system-error.ts';

const FILE = 'varve.db';

/** Memory for SQLite's page cache, in KiB. */
const CACHE_KIB = 32 * 1024;

/** The write-ahead log is copied into the database when it has grown to this many pages of 4 KiB. */
const CHECKPOINT_PAGES = 4000;

/** What a write-ahead log file is cut back to after a checkpoint, in bytes. */
const WAL_LIMIT = 32 * 1024 * 1024;

/** How long SQLite itself waits for a lock before it answers "busy", in ms. Writers wait longer, without blocking. */
const BUSY_TIMEOUT_MS = 250;

export interface IndexOptions {
  readonly create: boolean;
  readonly readOnly: boolean;
  /** How long a writer waits for the other processes' commits, in ms. */
  readonly lockTimeoutMs: number;
}

/** The SQLite index of a store: connection, transactions, prepared statements. */
export class IndexDatabase {
  readonly #connection: Sqlite.Database;
  readonly #statements = new Map<string, Sqlite.Statement>();
  readonly #lockTimeoutMs: number;
  readonly #copy: string | undefined;
  #forget: () => void = () => {};

  private constructor(connection: Sqlite.Database, lockTimeoutMs: number, copy: string | undefined) {
    this.#connection = connection;
    this.#lockTimeoutMs = lockTimeoutMs;
    this.#copy = copy;
  }

  /**
   * Opens the index below `root`, creating it where allowed.
   *
   * @throws `NOT_FOUND` when there is none and it may not be created, `INVALID_ARGUMENT` when the folder holds
   *   something else, `UNSUPPORTED_FORMAT` when a newer Varve wrote it, `CORRUPT` when it is not an index.
   */
  static open(root: string, options: IndexOptions): IndexDatabase {
    const path = join(root, FILE);
    try {
      if (!existsSync(path)) prepareFolder(root, options);
      else if (!options.readOnly) {
        accessSync(path, constants.W_OK);
        makeFolder(join(root, 'packs'));
      }
      const { connection, copy } = connect(path, options.readOnly);
      const index = new IndexDatabase(connection, options.lockTimeoutMs, copy);
      try {
        index.#verify(path, options);
      } catch (error) {
        index.close();
        throw error;
      }
      return index;
    } catch (cause) {
      throw toVarveError(isUnclear(cause) ? refusalOf(root, cause) : cause, `opening the store at ${root}`);
    }
  }

  /** The prepared statement of that text, made once. */
  prepare(sql: string): Sqlite.Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = retain(this.#connection.prepare(sql));
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  run(sql: string, ...parameters: unknown[]): Sqlite.RunResult {
    return this.prepare(sql).run(...parameters);
  }

  /** The first row, or undefined. */
  get<Row>(sql: string, ...parameters: unknown[]): Row | undefined {
    return this.prepare(sql).get(...parameters) as Row | undefined;
  }

  all<Row>(sql: string, ...parameters: unknown[]): Row[] {
    return this.prepare(sql).all(...parameters) as Row[];
  }

  /** The first column of the first row, or undefined. */
  value<Value>(sql: string, ...parameters: unknown[]): Value | undefined {
    const row = this.prepare(sql).get(...parameters) as Record<string, Value> | undefined;
    return row === undefined ? undefined : Object.values(row)[0];
  }

  meta(key: string): number {
    return this.value<number>('SELECT value FROM meta WHERE key = ?', key) ?? 0;
  }

  setMeta(key: string, value: number): void {
    this.run('INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value', key, value);
  }

  /** Runs `work` in one snapshot. `work` must be synchronous. */
  snapshot<Result>(work: () => Result): Result {
    if (this.#connection.inTransaction) return work();
    this.#connection.exec('BEGIN');
    try {
      return work();
    } finally {
      this.#connection.exec('COMMIT');
    }
  }

  /**
   * Runs `work` in a write transaction: durable when the promise resolves, without effect on the index when it rejects.
   * Waits for other processes without blocking this one. `work` must be synchronous.
   *
   * @throws `BUSY` when the lock was not to be had in time.
   */
  async write<Result>(work: () => Result, signal?: AbortSignal): Promise<Result> {
    const deadline = performance.now() + this.#lockTimeoutMs;
    for (let attempt = 0; !this.#tryBegin(); attempt++) {
      if (performance.now() > deadline) {
        throw new VarveError('BUSY', `another process kept the store locked for ${this.#lockTimeoutMs} ms; try again`);
      }
      throwIfAborted(signal);
      await sleep(Math.random() * Math.min(50, 2 ** attempt));
    }
    try {
      const result = work();
      this.#commit();
      return result;
    } catch (error) {
      if (this.#connection.inTransaction) this.#connection.exec('ROLLBACK');
      this.#forget();
      throw error;
    }
  }

  /** Calls `forget` after every {@link write} that did not happen, before anything else can run: ids it gave are given again. */
  onRollback(forget: () => void): void {
    this.#forget = forget;
  }

  /** Gives free pages back to the file system and folds the write-ahead log in. */
  async shrink(signal?: AbortSignal): Promise<void> {
    await this.write(() => this.#connection.exec('PRAGMA incremental_vacuum'), signal);
    this.foldLog();
  }

  /** Copies the write-ahead log into the database and empties it, as far as readers and writers allow. */
  foldLog(): void {
    try {
      this.#connection.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    } catch (error) {
      // Somebody reads or writes just now, or the disk is full: then a later checkpoint does it.
      if (!isBusy(error) && (error as { code?: unknown }).code !== 'SQLITE_FULL') throw error;
    }
  }

  /**
   * Writes the whole file anew, so that nothing of deleted rows is left in it; blocks this process, and writers, for
   * about a second for every 100 MB. Returns `false` when another process was writing: then call again.
   */
  rewriteFile(): boolean {
    try {
      // Pages that are built from memory used before would carry what was in it.
      this.#connection.exec('PRAGMA secure_delete = ON');
      this.#connection.exec('VACUUM');
      return true;
    } catch (error) {
      if (isBusy(error)) return false;
      throw error;
    } finally {
      this.#connection.exec('PRAGMA secure_delete = OFF');
    }
  }

  /** Copies the write-ahead log into the database and empties it; `false` when somebody reads or writes: then call again. */
  emptyLog(): boolean {
    try {
      return this.get<{ busy: number }>('PRAGMA wal_checkpoint(TRUNCATE)')?.busy === 0;
    } catch (error) {
      if (isBusy(error)) return false;
      throw error;
    }
  }

  /** Bytes of the index and its write-ahead log. */
  size(root: string): number {
    return [FILE, `${FILE}-wal`, `${FILE}-shm`].reduce((total, name) => {
      const path = join(root, name);
      return total + (existsSync(path) ? statSync(path).size : 0);
    }, 0);
  }

  /** A second connection to the same index, for a long snapshot beside other work. Close it soon. */
  sibling(): IndexDatabase {
    const connection = retain(new Sqlite(this.#connection.name, { readonly: true, timeout: BUSY_TIMEOUT_MS }));
    return new IndexDatabase(connection, this.#lockTimeoutMs, undefined);
  }

  /** What SQLite finds wrong with the file, the first few things; empty when it is sound. */
  integrityFaults(): string[] {
    const rows = this.all<{ quick_check: string }>('PRAGMA quick_check(5)');
    return rows.map(({ quick_check }) => quick_check).filter((fault) => fault !== 'ok');
  }

  /** Begins a snapshot that lasts until {@link close}; only for a {@link sibling}. */
  holdSnapshot(): void {
    this.#connection.exec('BEGIN');
    this.#connection.exec('SELECT 1 FROM meta LIMIT 1');
  }

  close(): void {
    this.#statements.clear();
    this.#connection.close();
    if (this.#copy !== undefined) rmSync(this.#copy, { recursive: true, force: true });
  }

  #commit(): void {
    try {
      this.#connection.exec('COMMIT');
    } catch (cause) {
      // After a failed flush nobody can tell whether the log reached the medium: a recovery may find the transaction.
      if (String((cause as { code?: unknown }).code) !== 'SQLITE_IOERR_FSYNC') throw cause;
      throw new VarveError(
        'OUTCOME_UNKNOWN',
        'the index could not be flushed to its medium: read before writing again',
        { cause },
      );
    }
  }

  #tryBegin(): boolean {
    // SQLite would wait by blocking the thread.
    this.#connection.exec('PRAGMA busy_timeout = 0');
    try {
      this.#connection.exec('BEGIN IMMEDIATE');
      return true;
    } catch (error) {
      if (isBusy(error)) return false;
      throw error;
    } finally {
      this.#connection.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    }
  }

  #verify(path: string, { readOnly }: IndexOptions): void {
    // What is not ours is not touched: setting up writing would change the file.
    let version = this.#assertOurs(path);
    if (!readOnly) this.#configure(version === 0);
    if (version === 0 && !readOnly) {
      this.#createSchema(path);
      version = this.#assertOurs(path);
    }
    if (version === 0)
      throw new VarveError('NOT_FOUND', `there is no Varve store at ${dirname(path)}: ${path} is empty`);
    this.#connection.exec(`PRAGMA cache_size = -${CACHE_KIB}`);
  }

  /** The format version; 0 when the file is still empty. */
  #assertOurs(path: string): number {
    const version = this.value<number>('PRAGMA user_version') ?? 0;
    const applicationId = this.value<number>('PRAGMA application_id');
    const tables = this.value<number>('SELECT count(*) FROM sqlite_schema');
    if (applicationId === 0 && version === 0 && tables === 0) return 0;
    if (applicationId !== APPLICATION_ID) {
      throw new VarveError('INVALID_ARGUMENT', `${path} is a SQLite database, but not the index of a Varve store`);
    }
    if (version > FORMAT_VERSION) {
      throw new VarveError(
        'UNSUPPORTED_FORMAT',
        `${path} has store format ${version}; this version of Varve knows formats up to ${FORMAT_VERSION}: install a newer version`,
      );
    }
    return version;
  }

  #configure(isNew: boolean): void {
    // Kept in the file; to set it again would write there.
    if (isNew) this.#connection.exec('PRAGMA auto_vacuum = INCREMENTAL');
    this.#connection.exec('PRAGMA journal_mode = WAL');
    // Only set once WAL is on does this hold: better-sqlite3 otherwise runs NORMAL in WAL, whatever the pragma reports.
    this.#connection.exec('PRAGMA synchronous = FULL');
    this.#connection.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    this.#connection.exec(`PRAGMA journal_size_limit = ${WAL_LIMIT}`);
  }

  /** Creates the tables unless another process has. */
  #createSchema(path: string): void {
    this.#connection.exec('BEGIN IMMEDIATE');
    try {
      if (this.#assertOurs(path) === 0) {
        assertNoPacks(dirname(path));
        this.#connection.exec(SCHEMA);
        this.#connection.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
        this.#connection.exec(`PRAGMA user_version = ${FORMAT_VERSION}`);
        this.setMeta('created', Date.now());
      }
      this.#connection.exec('COMMIT');
    } catch (error) {
      if (this.#connection.inTransaction) this.#connection.exec('ROLLBACK');
      throw error;
    }
  }
}

/** A new index beside old packs would give their names again and call what they hold garbage. */
function assertNoPacks(root: string): void {
  const folder = join(root, 'packs');
  const pack = existsSync(folder) ? readdirSync(folder).find((name) => name.endsWith('.pack')) : undefined;
  if (pack === undefined) return;
  throw new VarveError(
    'CORRUPT',
    `the index ${join(root, FILE)} is missing or empty, but ${join(folder, pack)} is there: restore the index from a copy`,
  );
}

/** Whether an error may be a refusal to write in disguise: SQLite cannot open, or Node cannot make a folder, for whatever reason. */
function isUnclear(cause: unknown): boolean {
  const code = String((cause as { code?: unknown }).code);
  return code.startsWith('SQLITE_CANTOPEN') || code === 'ENOENT';
}

/** What the operating system says about writing at `path`, if it objects. */
function refusalOf(path: string, cause: unknown): unknown {
  if (!existsSync(path) && path !== dirname(path)) return refusalOf(dirname(path), cause);
  try {
    accessSync(path, constants.W_OK);
    return cause;
  } catch (refusal) {
    return refusal;
  }
}

function isBusy(error: unknown): boolean {
  return String((error as { code?: unknown }).code).startsWith('SQLITE_BUSY');
}

/** Makes a folder and those above it, durably. (`mkdir` with `recursive` never returns below /proc.) */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  // A folder is an entry of the one above it.
  syncFolder(dirname(path));
}

function prepareFolder(root: string, { create, readOnly }: IndexOptions): void {
  if (!create || readOnly) {
    throw new VarveError('NOT_FOUND', `there is no Varve store at ${root}`);
  }
  makeFolder(root);
  // Another process may be creating the same store right now.
  const foreign = readdirSync(root).filter(
    (name) => !['packs', 'locks', 'lost+found'].includes(name) && !name.startsWith(FILE),
  );
  if (foreign.length > 0) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${root} is not a Varve store and is not empty (it holds ${JSON.stringify(foreign[0])}): name a new or empty folder`,
    );
  }
  // Another process may have created the store since the caller looked.
  if (!existsSync(join(root, FILE))) assertNoPacks(root);
  makeFolder(join(root, 'packs'));
  makeFolder(join(root, 'locks'));
}

/**
 * Connects to the index. On a medium that cannot be written SQLite cannot make the shared memory that its write-ahead
 * log needs, so there a reader works on a private copy of the index.
 */
function connect(path: string, readOnly: boolean): { connection: Sqlite.Database; copy: string | undefined } {
  const options = { timeout: BUSY_TIMEOUT_MS, fileMustExist: readOnly, readonly: readOnly };
  const connection = retain(new Sqlite(path, options));
  try {
    connection.exec('PRAGMA schema_version');
    return { connection, copy: undefined };
  } catch (error) {
    connection.close();
    const { code } = error as { code?: string };
    if (!readOnly || !(code === 'SQLITE_CANTOPEN' || code?.startsWith('SQLITE_READONLY'))) throw error;
  }
  const copy = mkdtempSync(join(tmpdir(), 'varve-index-'));
  for (const suffix of ['', '-wal']) {
    if (existsSync(path + suffix)) copyFileSync(path + suffix, join(copy, FILE + suffix));
  }
  return { connection: retain(new Sqlite(join(copy, FILE), { timeout: BUSY_TIMEOUT_MS })), copy };
}
