import { lstatSync } from 'node:fs';
import { VarveError } from '../../../core/errors.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { type PackAppender, packLength, packPath } from '../files/pack-files.ts';
import type { StoreFolder } from '../files/store-folder.ts';
import { BACKUP_MARK } from '../format/schema.ts';
import { assertNoCommits, outdatedIndex, unknownCommits } from './unknown-commits.ts';

interface OpenPack {
  readonly id: number;
  readonly owner: string | null;
  readonly size: number;
}

/**
 * The rows of packs in the index: who owns a pack, up to which byte it belongs to commits, and
 * whether it is sealed. All that changes rows runs in a write transaction.
 */
export class PackTable {
  readonly #folder: StoreFolder;
  readonly #database: IndexDatabase;
  readonly #isAlive: (owner: string) => boolean;

  constructor(folder: StoreFolder, database: IndexDatabase, isAlive: (owner: string) => boolean) {
    this.#folder = folder;
    this.#database = database;
    this.#isAlive = isAlive;
  }

  /**
   * Gives `owner` a pack to append to: one that nobody appends to any more, or a new one.
   *
   * @param packBytes packs of this size or more are sealed instead.
   * @throws `CORRUPT` when a file of that name has commits that the index lacks.
   */
  register(owner: string, packBytes: number): number {
    // What is written to is a store of its own from now on, and no older state of another.
    this.#database.run('DELETE FROM header WHERE key = ?', BACKUP_MARK);
    for (const pack of this.#open()) {
      if (!this.#isFree(pack)) continue;
      if (pack.size < packBytes && this.#isIntact(pack)) {
        this.#database.run('UPDATE pack SET owner = ? WHERE id = ?', owner, pack.id);
        return pack.id;
      }
      this.seal(pack.id);
    }
    for (;;) {
      const id = Number(
        this.#database.run('INSERT INTO pack (owner) VALUES (?)', owner).lastInsertRowid,
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

  /**
   * Whether `owner` still owns a pack that it appends to; notes as void what lies behind the known
   * end.
   */
  verify({ pack, end }: PackAppender, owner: string): boolean {
    const row = this.#database.get<OpenPack>(
      'SELECT id, owner, size FROM pack WHERE id = ? AND sealed = 0',
      pack,
    );
    if (row?.owner !== owner) return false;
    if (row.size < end) this.#noteVoid(pack, row.size, end);
    return true;
  }

  /** Enters that a pack belongs to commits up to where its appender is. */
  enterSize({ pack, end }: PackAppender): void {
    this.#database.run('UPDATE pack SET size = ? WHERE id = ?', end, pack);
  }

  /** Makes a pack nobody's, so that another process may append to it. */
  free(pack: number): void {
    this.#database.run('UPDATE pack SET owner = NULL WHERE id = ?', pack);
  }

  seal(pack: number): void {
    const size = this.#database.value<number>('SELECT size FROM pack WHERE id = ?', pack) ?? 0;
    const length = packLength(this.#folder.root, pack);
    this.#folder.assertPacks();
    if (length > size) this.#noteVoid(pack, size, length);
    this.#database.run('UPDATE pack SET sealed = 1, owner = NULL WHERE id = ?', pack);
  }

  /**
   * Seals packs, but not `own`, whose owner was cut off between writing to them and committing:
   * what it wrote has ids that the transaction under way will give again. Nobody else is in a
   * transaction now.
   */
  sealCutOff(own: number): void {
    const owned = this.#database.all<Pick<OpenPack, 'id' | 'size'>>(
      'SELECT id, size FROM pack WHERE sealed = 0 AND owner IS NOT NULL AND id <> ?',
      own,
    );
    for (const { id, size } of owned) if (packLength(this.#folder.root, id) > size) this.seal(id);
  }

  /** The open packs that no living process appends to. */
  abandoned(): number[] {
    return this.#open()
      .filter((pack) => this.#isFree(pack))
      .map(({ id }) => id);
  }

  #open(): OpenPack[] {
    return this.#database.all<OpenPack>(
      'SELECT id, owner, size FROM pack WHERE sealed = 0 ORDER BY id',
    );
  }

  /**
   * Notes that bytes of a pack belong to no commit, and never will: a commit that did not happen
   * left them. They count as dead from now on.
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

  #isFree({ owner }: OpenPack): boolean {
    return owner === null || !this.#isAlive(owner);
  }

  /**
   * Whether the file holds at least what the index says: appending to one that was cut short would
   * bury the damage. A file that has another name (a hard link) may belong to another store by that
   * name, so it is left as it is.
   */
  #isIntact({ id, size }: OpenPack): boolean {
    const file = lstatSync(packPath(this.#folder.root, id), { throwIfNoEntry: false });
    if (file === undefined) return size === 0;
    return file.isFile() && file.nlink === 1 && file.size >= size;
  }
}
