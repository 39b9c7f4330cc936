import { accessSync, constants, existsSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import { VarveError } from '../../../core/errors.ts';
import { toVarveError } from '../../../core/system/system-error.ts';
import { assertOneName, assertPlain, makeFolder, modesOf } from '../files/plain-files.ts';
import { INDEX_FILE, type StoreFolder } from '../files/store-folder.ts';
import { APPLICATION_ID, CREATED, FORMAT_VERSION, SCHEMA } from '../format/schema.ts';
import {
  assertNoPacks,
  BUSY_TIMEOUT_MS,
  connect,
  type IndexOptions,
  isBusy,
  isUnclear,
  prepareFolder,
  refusalOf,
} from './index-file.ts';
import { headerTable, migrate, standInFor } from './migrations.ts';
import { type Database, openSqlite, type RunResult, type Statement } from './sqlite-driver.ts';

/** Memory for SQLite's page cache, in KiB. */
const CACHE_KIB = 32 * 1024;

/**
 * The same for work that comes by each page once: with more, a sweep of a million segments takes no
 * less time.
 */
const SWEEP_CACHE_KIB = 8 * 1024;

/**
 * The write-ahead log is copied into the database when it has grown to this many pages of 4 KiB.
 */
const CHECKPOINT_PAGES = 4000;

/** What a write-ahead log file is cut back to after a checkpoint, in bytes. */
const WAL_LIMIT = 32 * 1024 * 1024;

/** The SQLite index of a store: connection, transactions, prepared statements. */
export class IndexDatabase {
  readonly #connection: Database;
  readonly #statements = new Map<string, Statement>();
  readonly #lockTimeoutMs: number;
  readonly #copy: string | undefined;
  readonly #folder: StoreFolder | undefined;
  #forget: () => void = () => {};
  /** The format that the index had when it was opened; `undefined` until that is known. */
  #format: number | undefined;

  private constructor(
    connection: Database,
    lockTimeoutMs: number,
    copy: string | undefined,
    folder: StoreFolder | undefined,
  ) {
    this.#connection = connection;
    this.#lockTimeoutMs = lockTimeoutMs;
    this.#copy = copy;
    this.#folder = folder;
  }

  /**
   * Opens the index of a store, creating it where allowed, and pins its folder.
   *
   * @throws `NOT_FOUND` when there is none and it may not be created, `INVALID_ARGUMENT` when the
   *   folder holds something else, `UNSUPPORTED_FORMAT` when a newer Varve wrote it, `CORRUPT` when
   *   it is not an index.
   */
  static open(folder: StoreFolder, options: IndexOptions): IndexDatabase {
    const { root, index: path } = folder;
    try {
      assertPlain(root);
      if (!existsSync(path)) prepareFolder(root, options);
      else if (!options.readOnly) {
        accessSync(path, constants.W_OK);
        assertOneName(root);
        makeFolder(join(root, 'packs'), modesOf(root, options.sharedWith));
      }
      const { connection, copy } = connect(path, options.readOnly);
      const index = new IndexDatabase(connection, options.lockTimeoutMs, copy, folder);
      try {
        index.#verify(path, options);
        folder.pin();
      } catch (error) {
        index.close();
        throw error;
      }
      return index;
    } catch (cause) {
      throw toVarveError(
        isUnclear(cause) ? refusalOf(root, cause) : cause,
        `opening the store at ${root}`,
      );
    }
  }

  /** The prepared statement of that text, made once. */
  prepare(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#connection.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  run(sql: string, ...parameters: unknown[]): RunResult {
    return this.prepare(sql).run(...parameters);
  }

  /** Runs statements that make tables. Only in a write transaction. */
  execute(sql: string): void {
    this.#connection.exec(sql);
  }

  hasTable(name: string): boolean {
    return (
      this.get("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", name) !== undefined
    );
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
    return this.value<number>('SELECT value FROM header WHERE key = ?', key) ?? 0;
  }

  setMeta(key: string, value: number): void {
    this.run(
      'INSERT INTO header VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
      key,
      value,
    );
  }

  /** Runs `work` in one snapshot. `work` must be synchronous. */
  snapshot<Result>(work: () => Result): Result {
    if (this.#connection.inTransaction) return work();
    this.#connection.exec('BEGIN');
    try {
      this.#assertFormat();
      return work();
    } finally {
      this.#connection.exec('COMMIT');
    }
  }

  /**
   * Runs `work` in a write transaction: durable when the promise resolves, without effect on the
   * index when it rejects. Waits for other processes without blocking this one. `work` must be
   * synchronous.
   *
   * @param undo is called with the error when it rejects, if possible before other processes can
   *   write.
   * @throws `BUSY` when the lock was not to be had in time, `IO` when the path of the index leads
   *   to another one by now.
   */
  async write<Result>(
    work: () => Result,
    signal?: AbortSignal,
    undo: (error: unknown) => void = () => {},
  ): Promise<Result> {
    const deadline = performance.now() + this.#lockTimeoutMs;
    for (let attempt = 0; !this.#tryBegin(); attempt++) {
      if (performance.now() > deadline) {
        throw new VarveError(
          'BUSY',
          `another process kept the store locked for ${this.#lockTimeoutMs} ms; try again`,
        );
      }
      throwIfAborted(signal);
      await sleep(Math.random() * Math.min(50, 2 ** attempt));
    }
    try {
      this.#assertFormat();
      const result = work();
      this.#folder?.assertIndex();
      this.#commit();
      return result;
    } catch (error) {
      undo(error);
      if (this.#connection.inTransaction) this.#connection.exec('ROLLBACK');
      this.#forget();
      throw error;
    }
  }

  /**
   * Calls `forget` after every {@link write} that did not happen, before anything else can run: ids
   * it gave are given again.
   */
  onRollback(forget: () => void): void {
    this.#forget = forget;
  }

  /** Gives free pages back to the file system and folds the write-ahead log in. */
  async shrink(signal?: AbortSignal): Promise<void> {
    await this.write(() => this.#connection.exec('PRAGMA incremental_vacuum'), signal);
    this.foldLog();
  }

  /**
   * Copies the write-ahead log into the database and empties it, as far as readers and writers
   * allow.
   */
  foldLog(): void {
    try {
      this.#connection.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    } catch (error) {
      // Somebody reads or writes just now, or the disk is full: then a later checkpoint does it.
      if (!isBusy(error) && (error as { code?: unknown }).code !== 'SQLITE_FULL') throw error;
    }
  }

  /**
   * Writes the whole file anew, so that nothing of deleted rows is left in it; blocks this process,
   * and writers, for about a second for every 100 MB. Returns `false` when another process was
   * writing: then call again.
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

  /**
   * Copies the write-ahead log into the database and empties it; `false` when somebody reads or
   * writes: then call again.
   */
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
    return [INDEX_FILE, `${INDEX_FILE}-wal`, `${INDEX_FILE}-shm`].reduce((total, name) => {
      const path = join(root, name);
      return total + (existsSync(path) ? statSync(path).size : 0);
    }, 0);
  }

  /**
   * A second connection to the same index, for a long snapshot beside other work. Close it soon.
   */
  sibling(): IndexDatabase {
    const connection = openSqlite(this.#connection.name, {
      readonly: true,
      timeout: BUSY_TIMEOUT_MS,
    });
    try {
      // It was opened by its path.
      this.#folder?.assertIndex();
      connection.exec(standInFor(this.#format ?? FORMAT_VERSION));
    } catch (error) {
      connection.close();
      throw error;
    }
    const sibling = new IndexDatabase(connection, this.#lockTimeoutMs, undefined, this.#folder);
    sibling.#format = this.#format;
    return sibling;
  }

  /** The index at `path`, to be read; nothing is created or changed. Close it soon. */
  static inspect(path: string): IndexDatabase {
    const index = new IndexDatabase(
      openSqlite(path, { readonly: true, fileMustExist: true }),
      0,
      undefined,
      undefined,
    );
    try {
      index.#verify(path, { readOnly: true, create: false, lockTimeoutMs: 0 });
      return index;
    } catch (error) {
      index.close();
      throw error;
    }
  }

  /**
   * Writes a copy of the index as it is at one moment to `path`, which must not exist or be empty;
   * not flushed. Blocks this process for about a second for every 100 MB, and nobody else.
   *
   * @param meta entries of the copy's own, `undefined` to leave one out.
   */
  copyInto(path: string, meta: Readonly<Record<string, number | undefined>>): void {
    this.#connection.exec(`VACUUM INTO '${path.replaceAll("'", "''")}'`);
    const copy = openSqlite(path, { fileMustExist: true });
    const table = headerTable(this.#format ?? FORMAT_VERSION);
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

  /** What SQLite finds wrong with the file, the first few things; empty when it is sound. */
  integrityFaults(): string[] {
    const rows = this.all<{ quick_check: string }>('PRAGMA quick_check(5)');
    return rows.map(({ quick_check }) => quick_check).filter((fault) => fault !== 'ok');
  }

  /** Begins a snapshot that lasts until {@link close}; only for a {@link sibling}. */
  holdSnapshot(): void {
    this.#connection.exec('BEGIN');
    this.#assertFormat();
  }

  /** Runs work that comes by each page once, with little memory for pages. */
  async sweeping<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#connection.exec(`PRAGMA cache_size = -${SWEEP_CACHE_KIB}`);
    try {
      return await work();
    } finally {
      if (this.#connection.open) this.#connection.exec(`PRAGMA cache_size = -${CACHE_KIB}`);
    }
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
      // After a failed flush nobody can tell whether the log reached the medium: a recovery may
      // find the transaction.
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
    if (version === 0) {
      assertNoPacks(dirname(path));
      throw new VarveError(
        'NOT_FOUND',
        `there is no Varve store at ${dirname(path)}: ${path} is empty`,
      );
    }
    if (version < FORMAT_VERSION) {
      if (readOnly) this.#connection.exec(standInFor(version));
      else this.#upgrade(path);
    }
    this.#format = readOnly ? version : FORMAT_VERSION;
    this.#connection.exec(`PRAGMA cache_size = -${CACHE_KIB}`);
  }

  /** The format version; 0 when the file is still empty. */
  #assertOurs(path: string): number {
    // In one snapshot: another process may be creating the tables.
    const { version, applicationId, tables } = this.snapshot(() => ({
      version: this.value<number>('PRAGMA user_version') ?? 0,
      applicationId: this.value<number>('PRAGMA application_id'),
      tables: this.value<number>('SELECT count(*) FROM sqlite_schema'),
    }));
    if (applicationId === 0 && version === 0 && tables === 0) return 0;
    if (applicationId !== APPLICATION_ID) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `${path} is a SQLite database, but not the index of a Varve store`,
      );
    }
    if (version > FORMAT_VERSION) {
      throw new VarveError(
        'UNSUPPORTED_FORMAT',
        `${path} has store format ${version}; this version of Varve knows formats up to ` +
          `${FORMAT_VERSION}: install a newer version`,
      );
    }
    return version;
  }

  /** In every transaction: another process may have upgraded the store since it was opened. */
  #assertFormat(): void {
    const version = this.value<number>('PRAGMA user_version') ?? 0;
    if (this.#format === undefined || version === this.#format) return;
    throw new VarveError(
      'UNSUPPORTED_FORMAT',
      `the store has format ${version} now, it had ${this.#format} when this process opened ` +
        'it: open it again, with a Varve that knows the new one',
    );
  }

  #configure(isNew: boolean): void {
    // Kept in the file; to set it again would write there.
    if (isNew) this.#connection.exec('PRAGMA auto_vacuum = INCREMENTAL');
    this.#connection.exec('PRAGMA journal_mode = WAL');
    // Only set once WAL is on does this hold: better-sqlite3 otherwise runs NORMAL in WAL, whatever
    // the pragma reports.
    this.#connection.exec('PRAGMA synchronous = FULL');
    this.#connection.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    this.#connection.exec(`PRAGMA journal_size_limit = ${WAL_LIMIT}`);
  }

  /** Brings an older format up to this one, unless another process has. */
  #upgrade(path: string): void {
    this.#connection.exec('BEGIN IMMEDIATE');
    try {
      for (let version = this.#assertOurs(path); version < FORMAT_VERSION; version++) {
        this.#connection.exec(migrate(dirname(path), version));
        this.#connection.exec(`PRAGMA user_version = ${version + 1}`);
      }
      this.#connection.exec('COMMIT');
    } catch (error) {
      if (this.#connection.inTransaction) this.#connection.exec('ROLLBACK');
      throw error;
    }
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
        this.setMeta(CREATED, Date.now());
        this.setMeta('log_floor', 1);
      }
      this.#connection.exec('COMMIT');
    } catch (error) {
      if (this.#connection.inTransaction) this.#connection.exec('ROLLBACK');
      throw error;
    }
  }
}
