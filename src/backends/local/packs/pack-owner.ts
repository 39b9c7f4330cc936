import { lstatSync } from 'node:fs';
import { VarveError } from '../../../core/errors.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { isWriterAlive, WriterLock } from '../database/writer-lock.ts';
import { PackAppender, packLength, packPath } from '../files/pack-files.ts';
import type { StoreFolder } from '../files/store-folder.ts';
import { BACKUP_MARK } from '../format/schema.ts';
import { assertNoCommits, outdatedIndex, unknownCommits } from './unknown-commits.ts';

interface OpenPack {
  readonly id: number;
  readonly owner: string | null;
  readonly size: number;
}

/** The pack was sealed by somebody else since its owner appended last. */
class PackRevoked extends Error {}

/**
 * Gives this process a pack to append to.
 *
 * Invariant P1: only the owner that the index names appends to a pack, under the write lock, and it
 * is named before the first byte is written. A pack is taken over only from an owner that is gone,
 * and then appended to behind whatever that owner left. A sealed pack is never appended to again;
 * anybody who holds the write lock may seal one.
 */
export class PackOwner {
  readonly #folder: StoreFolder;
  readonly #database: IndexDatabase;
  /** A pack is sealed once it has grown to this size. */
  readonly packBytes: number;
  #lock: WriterLock | undefined;
  #appender: PackAppender | undefined;
  /** Resolves when the append or seal asked for last has ended. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(folder: StoreFolder, database: IndexDatabase, packBytes: number) {
    this.#folder = folder;
    this.#database = database;
    this.packBytes = packBytes;
  }

  /** Tells other processes from now on that this one may write. */
  takeLock(): void {
    void this.name;
  }

  /** The name under which this process owns things, from the first use on. */
  get name(): string {
    if (this.#lock === undefined) {
      this.#folder.assertIndex();
      this.#lock = new WriterLock(this.#folder.root);
    }
    return this.#lock.name;
  }

  /**
   * Runs `work` in a write transaction that appends to a pack. One at a time: appends of two would
   * mix. What was appended belongs to the store once the promise resolves, and is overwritten when
   * it rejects. `work` may run more than once.
   */
  append<Result>(work: (appender: PackAppender) => Result, signal?: AbortSignal): Promise<Result> {
    return this.#exclusively(async () => {
      for (;;) {
        const appender = await this.#acquire(signal);
        try {
          return await this.#appendTo(appender, work, signal);
        } catch (error) {
          if (!(error instanceof PackRevoked)) throw error;
          this.#appender = undefined;
          appender.close();
        }
      }
    });
  }

  async #appendTo<Result>(
    appender: PackAppender,
    work: (appender: PackAppender) => Result,
    signal: AbortSignal | undefined,
  ): Promise<Result> {
    const undo = (error: unknown) => {
      // After an unknown outcome the index may name what was appended: never write over that.
      if (error instanceof VarveError && error.code === 'OUTCOME_UNKNOWN') appender.commit();
      else appender.rollback();
    };
    const result = await this.#database.write(
      () => {
        this.#assertOwned(appender);
        this.#sealCutOff(appender.pack);
        const result = work(appender);
        appender.assertInPlace();
        return result;
      },
      signal,
      undo,
    );
    appender.commit();
    return result;
  }

  /** The pack that this process may append to, if it has one. */
  get current(): number | undefined {
    return this.#appender?.pack;
  }

  /**
   * Whoever holds the write lock may take a pack away from its owner, who appends only under that
   * lock.
   */
  #assertOwned({ pack, end }: PackAppender): void {
    const row = this.#database.get<OpenPack>(
      'SELECT id, owner, size FROM pack WHERE id = ? AND sealed = 0',
      pack,
    );
    if (row?.owner !== this.name) throw new PackRevoked();
    if (row.size < end) this.#noteVoid(pack, row.size, end);
  }

  /**
   * Seals packs whose owner was cut off between writing to them and committing: what it wrote has
   * ids that the transaction under way will give again. Nobody else is in a transaction now.
   */
  #sealCutOff(own: number): void {
    const owned = this.#database.all<Pick<OpenPack, 'id' | 'size'>>(
      'SELECT id, size FROM pack WHERE sealed = 0 AND owner IS NOT NULL AND id <> ?',
      own,
    );
    for (const { id, size } of owned)
      if (packLength(this.#folder.root, id) > size) this.#markSealed(id);
  }

  /**
   * Seals packs whoever owns them, so that they can be rewritten: their owners go on in new ones.
   * Only in a write transaction.
   */
  revoke(packs: readonly number[]): void {
    for (const pack of packs) this.#markSealed(pack);
  }

  /** Seals the pack of this process, so that a collection may rewrite it. */
  seal(signal?: AbortSignal): Promise<void> {
    return this.#exclusively(() => this.#seal(signal));
  }

  async #acquire(signal?: AbortSignal): Promise<PackAppender> {
    const current = this.#appender;
    if (current !== undefined && !current.isBroken && current.end < this.packBytes) return current;
    await this.#seal(signal);
    const pack = await this.#database.write(() => this.#register(), signal);
    this.#appender = new PackAppender(this.#folder, pack);
    return this.#appender;
  }

  async #seal(signal?: AbortSignal): Promise<void> {
    const sealed = this.#appender;
    if (sealed === undefined) return;
    await this.#database.write(() => this.#markSealed(sealed.pack), signal);
    this.#appender = undefined;
    sealed.close();
  }

  #exclusively<Result>(work: () => Promise<Result>): Promise<Result> {
    const run = this.#tail.then(work);
    this.#tail = run.catch(() => undefined);
    return run;
  }

  /** The open packs that no living process appends to. */
  abandoned(): number[] {
    const open = this.#database.all<OpenPack>(
      'SELECT id, owner, size FROM pack WHERE sealed = 0 ORDER BY id',
    );
    return open.filter(({ owner }) => this.#isFree(owner)).map(({ id }) => id);
  }

  /**
   * Seals those of the given packs that no living process appends to. Only in a write transaction.
   */
  sealAbandoned(packs: readonly number[]): void {
    const wanted = new Set(packs);
    for (const pack of this.abandoned()) if (wanted.has(pack)) this.#markSealed(pack);
  }

  /** Whether the process of that name still runs; this one does. */
  isAlive(name: string): boolean {
    return name === this.#lock?.name || isWriterAlive(this.#folder.root, name);
  }

  /** Releases the lock and the pack, so that another process may continue it. */
  release(): Promise<void> {
    return this.#exclusively(() => this.#release());
  }

  async #release(): Promise<void> {
    const appender = this.#appender;
    this.#appender = undefined;
    appender?.close();
    try {
      if (appender === undefined) return;
      await this.#database.write(() => {
        if (appender.isBroken || appender.end >= this.packBytes) this.#markSealed(appender.pack);
        else this.#database.run('UPDATE pack SET owner = NULL WHERE id = ?', appender.pack);
      });
    } finally {
      // Whatever the index says, nobody appends here any more; without the lock, others can tell.
      if (this.#folder.isInPlace) this.#lock?.release();
      else this.#lock?.abandon();
      this.#lock = undefined;
    }
  }

  #register(): number {
    // What is written to is a store of its own from now on, and no older state of another.
    this.#database.run('DELETE FROM header WHERE key = ?', BACKUP_MARK);
    for (const pack of this.#database.all<OpenPack>(
      'SELECT id, owner, size FROM pack WHERE sealed = 0 ORDER BY id',
    )) {
      if (!this.#isFree(pack.owner)) continue;
      if (pack.size < this.packBytes && this.#isIntact(pack)) {
        this.#database.run('UPDATE pack SET owner = ? WHERE id = ?', this.name, pack.id);
        return pack.id;
      }
      this.#markSealed(pack.id);
    }
    for (;;) {
      const id = Number(
        this.#database.run('INSERT INTO pack (owner) VALUES (?)', this.name).lastInsertRowid,
      );
      // A file that no index of this store has named is not written to: it may be all that is left
      // of a newer one.
      const path = packPath(this.#folder.root, id);
      if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return id;
      if (unknownCommits(this.#database, path) !== undefined)
        throw new VarveError('CORRUPT', outdatedIndex(path, 0));
      this.#database.run('DELETE FROM pack WHERE id = ?', id);
    }
  }

  #markSealed(pack: number): void {
    const size = this.#database.value<number>('SELECT size FROM pack WHERE id = ?', pack) ?? 0;
    const length = packLength(this.#folder.root, pack);
    this.#folder.assertPacks();
    if (length > size) this.#noteVoid(pack, size, length);
    this.#database.run('UPDATE pack SET sealed = 1, owner = NULL WHERE id = ?', pack);
  }

  /**
   * Notes that bytes of a pack belong to no commit, and never will: what a commit that did not
   * happen left. They count as dead from now on, to be given back.
   *
   * @throws `CORRUPT` when they hold commits that the index does not know.
   */
  #noteVoid(pack: number, start: number, end: number): void {
    assertNoCommits(this.#folder.root, pack, { start, end }, this.#database.meta('log'));
    this.#database.run(
      'INSERT INTO void (pack, start, length) VALUES (?, ?, ?)',
      pack,
      start,
      end - start,
    );
    this.#database.run('UPDATE pack SET size = ? WHERE id = ?', end, pack);
  }

  #isFree(owner: string | null): boolean {
    return owner === null || !this.isAlive(owner);
  }

  /**
   * Whether the file holds at least what the index says: appending to one that was cut short would
   * bury the damage. One that has another name (a hard link) is left as it is, for it may belong to
   * another store by that.
   */
  #isIntact({ id, size }: OpenPack): boolean {
    const file = lstatSync(packPath(this.#folder.root, id), { throwIfNoEntry: false });
    if (file === undefined) return size === 0;
    return file.isFile() && file.nlink === 1 && file.size >= size;
  }
}
