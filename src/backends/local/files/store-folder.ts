import { type BigIntStats, closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../../core/errors.ts';

/** Name of the index in the folder of its store. */
export const INDEX_FILE = 'varve.db';

/** Name of the index of an unfinished store. */
export const PARTIAL_INDEX_FILE = `${INDEX_FILE}.partial`;

/**
 * Identifies a file. The number of a deleted file is reused, so keep a file open while comparing.
 */
export type FileIdentity = Pick<BigIntStats, 'dev' | 'ino'>;

/** Thrown when a path inside the store leads to another file than the one that the store opened. */
class FolderMoved extends VarveError {
  constructor(root: string, path: string) {
    super(
      'IO',
      `the directory ${root} was moved, replaced or removed while the store was open ` +
        `(${path} is not what it was): ` +
        'close this store and open it again; acknowledged writes are in the directory that ' +
        'was opened',
    );
  }
}

/**
 * The directory of an open store. SQLite and open packs stay with the files that were opened,
 * whatever happens to their names; everything else goes by path. So each path is compared with what
 * was opened before anything that depends on it is acknowledged, and before anything is created or
 * removed through it.
 *
 * Paths are only checked with `stat`: opening and closing the index would drop SQLite's locks on
 * it.
 */
export class StoreFolder {
  readonly root: string;
  readonly packs: string;
  /** The path of the index. */
  readonly index: string;
  /** Kept open by SQLite. */
  #opened: FileIdentity | undefined;
  /** Kept open by {@link #descriptor}. */
  #packs: FileIdentity | undefined;
  #descriptor: number | undefined;

  /**
   * @param index - the name of the index; an unfinished store has another one, so that nobody finds
   *   it yet.
   */
  constructor(root: string, index = INDEX_FILE) {
    this.root = root;
    this.packs = join(root, 'packs');
    this.index = join(root, index);
  }

  /** Records which files were opened; call it once the index is open. */
  pin(): void {
    this.#opened = identityAt(this.index);
    this.#pinPacks();
  }

  /**
   * One `stat`. @throws {@link FolderMoved} when the path of the index leads to another file, or to
   * none.
   */
  assertIndex(): void {
    this.assertSame(this.index, this.#opened);
  }

  /**
   * One `stat`. @throws {@link FolderMoved} when the path of the packs leads to another folder, or
   * to none.
   */
  assertPacks(): void {
    // A store without packs may have been copied without the folder for them.
    if (this.#packs === undefined) this.#pinPacks();
    else this.assertSame(this.packs, this.#packs);
  }

  /** @throws {@link FolderMoved} when the store's path does not lead to what was opened. */
  assertInPlace(): void {
    this.assertIndex();
    this.assertPacks();
  }

  /** Whether the store's path leads to what was opened. */
  get isInPlace(): boolean {
    try {
      this.assertInPlace();
      return true;
    } catch {
      return false;
    }
  }

  /**
   * One `stat`. @throws {@link FolderMoved} when a path does not lead to the file that was opened
   * there.
   */
  assertSame(path: string, opened: FileIdentity | undefined): void {
    const found = identityAt(path);
    if (found === undefined || found.ino !== opened?.ino || found.dev !== opened.dev) {
      throw new FolderMoved(this.root, path);
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #pinPacks(): void {
    if (identityAt(this.packs) === undefined) return;
    // Windows cannot open folders, and does not move one that contains open files.
    if (process.platform === 'win32') {
      this.#packs = identityAt(this.packs);
      return;
    }
    this.#descriptor = openSync(this.packs, 'r');
    this.#packs = fstatSync(this.#descriptor, { bigint: true });
  }
}

function identityAt(path: string): FileIdentity | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined;
    throw error;
  }
}
