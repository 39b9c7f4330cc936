import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import { VarveError } from '../../../core/errors.ts';
import type { StoreFolder } from '../files/store-folder.ts';
import { BUSY_TIMEOUT_MS } from './connect.ts';
import { standInFor } from './migrations.ts';
import { SqlConnection } from './sql-connection.ts';
import { type Database, isBusy, openSqlite } from './sqlite-driver.ts';

/** What is known of an index once it is open. */
export interface OpenedIndex {
  /** The format that the index had when it was opened. */
  readonly format: number;
  /** How long a writer waits for other processes, in ms. */
  readonly lockTimeoutMs: number;
  /** The folder of the private copy that is read instead of the index, if there is one. */
  readonly copy?: string | undefined;
  /** `undefined` for an index that is only inspected. */
  readonly folder?: StoreFolder | undefined;
}

/**
 * The SQLite index of a store, and its transactions. A *snapshot* reads one state; a *write* is one
 * transaction. Both are synchronous inside, so no transaction is open across an `await`.
 */
export class IndexDatabase extends SqlConnection {
  readonly format: number;
  readonly #opened: OpenedIndex;
  #forget: () => void = () => {};

  constructor(connection: Database, opened: OpenedIndex) {
    super(connection);
    this.#opened = opened;
    this.format = opened.format;
  }

  /** An entry of the table `header`; 0 when it is not there. */
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

  override snapshot<Result>(work: () => Result): Result {
    if (this.inTransaction) return work();
    return super.snapshot(() => {
      this.#assertFormat();
      return work();
    });
  }

  /**
   * Runs `work` in a write transaction: durable when the promise resolves, without effect on the
   * index when it rejects. Waits for other processes without blocking this one. `work` must be
   * synchronous.
   *
   * @param undo is called with the error when the transaction fails: while this process still has
   *   the write lock, if it can.
   * @throws `BUSY` when other processes kept the lock for too long, `IO` when the path of the index
   *   leads to another file by now.
   */
  async write<Result>(
    work: () => Result,
    signal?: AbortSignal,
    undo: (error: unknown) => void = () => {},
  ): Promise<Result> {
    const deadline = performance.now() + this.#opened.lockTimeoutMs;
    // No await from BEGIN to COMMIT, not even for a function that began: other work of this process
    // would run inside the transaction.
    for (let attempt = 0; !this.#tryBegin(); attempt++)
      await this.#pause(attempt, deadline, signal);
    try {
      this.#assertFormat();
      const result = work();
      this.#opened.folder?.assertIndex();
      this.#commit();
      return result;
    } catch (error) {
      undo(error);
      if (this.inTransaction) this.execute('ROLLBACK');
      this.#forget();
      throw error;
    }
  }

  /**
   * Calls `forget` after every {@link write} that failed, before anything else can run: the ids
   * that it gave are given again.
   */
  onRollback(forget: () => void): void {
    this.#forget = forget;
  }

  /**
   * A second connection to the same index, for a long snapshot beside other work. Close it soon.
   */
  sibling(): IndexDatabase {
    const { folder } = this.#opened;
    const connection = openSqlite(this.path, { readonly: true, timeout: BUSY_TIMEOUT_MS });
    try {
      // The connection was opened by its path, which may lead elsewhere by now.
      folder?.assertIndex();
      connection.exec(standInFor(this.format));
    } catch (error) {
      connection.close();
      throw error;
    }
    return new IndexDatabase(connection, { ...this.#opened, copy: undefined });
  }

  /** Begins a snapshot that lasts until {@link close}; only for a {@link sibling}. */
  holdSnapshot(): void {
    this.execute('BEGIN');
    this.#assertFormat();
  }

  override close(): void {
    super.close();
    const { copy } = this.#opened;
    if (copy !== undefined) rmSync(copy, { recursive: true, force: true });
  }

  /** Waits before another attempt to get the write lock. */
  async #pause(attempt: number, deadline: number, signal: AbortSignal | undefined): Promise<void> {
    if (performance.now() > deadline) {
      throw new VarveError(
        'BUSY',
        `another process kept the store locked for ${this.#opened.lockTimeoutMs} ms; try again`,
      );
    }
    throwIfAborted(signal);
    await sleep(Math.random() * Math.min(50, 2 ** attempt));
  }

  #tryBegin(): boolean {
    // SQLite would wait by blocking the thread.
    this.execute('PRAGMA busy_timeout = 0');
    try {
      this.execute('BEGIN IMMEDIATE');
      return true;
    } catch (error) {
      if (isBusy(error)) return false;
      throw error;
    } finally {
      this.execute(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    }
  }

  #commit(): void {
    try {
      this.execute('COMMIT');
    } catch (cause) {
      // After a failed flush nobody knows whether the write-ahead log reached the medium: a
      // recovery may find the transaction.
      if (String((cause as { code?: unknown }).code) !== 'SQLITE_IOERR_FSYNC') throw cause;
      throw new VarveError(
        'OUTCOME_UNKNOWN',
        'the index could not be flushed to its medium: read before writing again',
        { cause },
      );
    }
  }

  /** In every transaction: another process may have upgraded the store since it was opened. */
  #assertFormat(): void {
    const version = this.value<number>('PRAGMA user_version') ?? 0;
    if (version === this.format) return;
    throw new VarveError(
      'UNSUPPORTED_FORMAT',
      `the store has format ${version} now, it had ${this.format} when this process opened ` +
        'it: open it again, with a Varve that knows the new one',
    );
  }
}
