import { type BigIntStats, closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../../core/errors.ts';

/** The index, below the folder of its store. */
export const INDEX_FILE = 'varve.db';

/** The index of a store that is being put together, until it is whole. */
export const PARTIAL_INDEX_FILE = `${INDEX_FILE}.partial`;

/**
 * Which file something is. The number of a file that is gone is given again, so one that is
 * compared is kept open.
 */
export type FileIdentity = Pick<BigIntStats, 'dev' | 'ino'>;

/**
 * Thrown when a path inside the store leads to another file than the one that the store was opened
 * with.
 */
class FolderMoved extends VarveError {
  constructor(root: string, path: string) {
    super(
      'IO',
      `the directory ${root} was moved, replaced or removed while the store was open ` +
        `(${path} is not what it was): ` +
        'close this store and open it again; what was acknowledged is in the directory that ' +
        'was opened',
    );
  }
}

/**
 * The directory of an open store. SQLite and open packs stay with the files that were opened,
 * whatever becomes of their names; everything else goes by path. So a path is compared with what
 * was opened before anything is acknowledged that depends on it, and before anything is created or
 * removed through it.
 *
 * Paths are only ever looked at with `stat`: to open and close the index would drop the locks that
 * SQLite has on it.
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
   * @param index - the name of the index; a store whose index has another one is not to be found
   * yet.
   */
  constructor(root: string, index = INDEX_FILE) {
    this.root = root;
    this.packs = join(root, 'packs');
    this.index = join(root, index);
  }

  /** Takes note of what was opened: to be called once the index is. */
  pin(): void {
    this.#opened = identityAt(this.index);
    this.#pinPacks();
  }

  /**
   * One `stat`. @throws {@link FolderMoved} when the path of the index leads to another one, or to
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
    // A store that is read may have been copied without its folder of packs, for want of any.
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
    // Windows opens no folders, and lets none be moved that has open files.
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
