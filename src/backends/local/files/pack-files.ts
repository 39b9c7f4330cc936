import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import { VarveError } from '../../../core/errors.ts';
import { createFile, lengthOfFile, modesOf, openFile, syncFolder } from './plain-files.ts';
import type { FileIdentity, StoreFolder } from './store-folder.ts';

/** The path of a pack below the store's folder. */
export function packPath(root: string, pack: number): string {
  return join(root, 'packs', `${String(pack).padStart(8, '0')}.pack`);
}

/** Length of a pack's file, whatever the index says; 0 when there is no such file. */
export function packLength(root: string, pack: number): number {
  return lengthOfFile(packPath(root, pack));
}

/**
 * Thrown when a pack's file is missing: the pack was rewritten since the caller read the index, or
 * it is lost.
 */
export class PackVanished extends VarveError {
  readonly pack: number;

  constructor(root: string, pack: number) {
    const path = packPath(root, pack);
    super(
      'CORRUPT',
      `${path} is missing: restore it from a copy, or run an audit to see what it held`,
    );
    this.pack = pack;
  }
}

const OPEN_FILES = 64;

/** Reads from packs and keeps their file descriptors open. */
export class PackReader {
  readonly #folder: StoreFolder;
  readonly #open = new LRUCache<number, { fd: number }>({
    max: OPEN_FILES,
    dispose: ({ fd }) => closeSync(fd),
  });

  constructor(folder: StoreFolder) {
    this.#folder = folder;
  }

  /**
   * Reads exactly `length` bytes from `start`.
   *
   * @throws {@link PackVanished} when the file is gone, `CORRUPT` when it ends too early.
   */
  read(pack: number, start: number, length: number): Buffer {
    const { fd } = this.#descriptor(pack);
    const bytes = Buffer.allocUnsafeSlow(length);
    for (let filled = 0; filled < length; ) {
      const count = readSync(fd, bytes, filled, length - filled, start + filled);
      if (count === 0) {
        throw new VarveError(
          'CORRUPT',
          `${packPath(this.#folder.root, pack)} is truncated: ` +
            `it ends before byte ${start + length}`,
        );
      }
      filled += count;
    }
    return bytes;
  }

  size(pack: number): number {
    return fstatSync(this.#descriptor(pack).fd).size;
  }

  forget(pack: number): void {
    this.#open.delete(pack);
  }

  closeAll(): void {
    this.#open.clear();
  }

  #descriptor(pack: number): { fd: number } {
    let descriptor = this.#open.get(pack);
    if (descriptor === undefined) {
      descriptor = { fd: this.#openPack(pack) };
      this.#open.set(pack, descriptor);
    }
    return descriptor;
  }

  #openPack(pack: number): number {
    const { root } = this.#folder;
    let fd: number | undefined;
    try {
      ({ fd } = openFile(packPath(root, pack), 'read'));
      // Blocks of another store could pass for the ones wanted.
      this.#folder.assertPacks();
      return fd;
    } catch (cause) {
      if (fd !== undefined) closeSync(fd);
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
      this.#folder.assertPacks();
      throw new PackVanished(root, pack);
    }
  }
}

/** The open end of the one pack that this process may append to. */
export class PackAppender {
  readonly pack: number;
  readonly #folder: StoreFolder;
  readonly #path: string;
  readonly #fd: number;
  readonly #file: FileIdentity;
  #end: number;
  #committed: number;
  #broken = false;

  /**
   * Opens or creates the file of a pack that the index already names, and appends after its present
   * content.
   */
  constructor(folder: StoreFolder, pack: number) {
    this.pack = pack;
    this.#folder = folder;
    this.#path = packPath(folder.root, pack);
    this.#fd = openOrCreate(this.#path, folder.root);
    try {
      // Never write to a pack of another store.
      folder.assertInPlace();
      const status = fstatSync(this.#fd, { bigint: true });
      this.#file = status;
      this.#end = Number(status.size);
      this.#committed = this.#end;
      syncFolder(folder.packs);
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /** Offset of the next block. */
  get end(): number {
    return this.#end;
  }

  /** Writes a block after the last one, without flushing; returns its offset. */
  append(block: Buffer): number {
    const start = this.#end;
    for (let written = 0; written < block.length; ) {
      written += writeSync(this.#fd, block, written, block.length - written, start + written);
    }
    this.#end += block.length;
    return start;
  }

  /**
   * Whether a flush failed: the kernel may have dropped what was written, so this appender must not
   * be used again.
   */
  get isBroken(): boolean {
    return this.#broken;
  }

  /**
   * One `stat`. @throws `IO` when the path of the pack leads to another file: nobody could find
   * what was appended.
   */
  assertInPlace(): void {
    this.#folder.assertSame(this.#path, this.#file);
  }

  /** Flushes everything appended. */
  sync(): void {
    if (this.#end === this.#committed) return;
    try {
      fdatasyncSync(this.#fd);
    } catch (error) {
      this.#broken = true;
      throw error;
    }
  }

  /** Declares that what was appended belongs to the store. */
  commit(): void {
    this.#committed = this.#end;
  }

  /** Whether anything was appended since the last commit. */
  get hasAppended(): boolean {
    return this.#end > this.#committed;
  }

  /**
   * Truncates what was appended since the last commit, before anybody else can commit: later
   * commits reuse its ids, and whatever looks like a commit must be one. When that fails, and after
   * a flush that failed (P4), the pack is not used again, and whoever seals it records those bytes.
   */
  rollback(): void {
    if (!this.hasAppended) return;
    this.#end = this.#committed;
    if (this.#broken) return;
    try {
      ftruncateSync(this.#fd, this.#committed);
    } catch {
      this.#broken = true;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function openOrCreate(path: string, root: string): number {
  try {
    return openFile(path, 'write').fd;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return createFile(path, modesOf(root, undefined));
  }
}

export function removePack(folder: StoreFolder, pack: number): void {
  folder.assertInPlace();
  rmSync(packPath(folder.root, pack), { force: true });
}
