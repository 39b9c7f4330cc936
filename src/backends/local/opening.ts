import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { throwIfAborted } from '../../core/abort.ts';
import { isVarveError, VarveError } from '../../core/errors.ts';
import { toVarveError } from '../../core/system/system-error.ts';
import type { IndexDatabase } from './database/index-database.ts';
import { openIndex } from './database/open-index.ts';
import { networkFileSystem } from './files/network-file-system.ts';
import { PackReader } from './files/pack-files.ts';
import type { SharedWith } from './files/plain-files.ts';
import { StoreFolder } from './files/store-folder.ts';
import { PackOwner } from './packs/pack-owner.ts';

/** How a store in a directory is opened, and how it works then. */
export interface LocalOptions {
  /** Create the store if there is none. Default: true. */
  readonly create?: boolean;
  /** Never write; works on a read-only medium. Default: false. */
  readonly readOnly?: boolean;
  /** Ends the opening and every call, now and later. Default: nothing does. */
  readonly signal?: AbortSignal;
  /** Open a store on a network file system, whose locks may not hold. Default: false. */
  readonly allowNetworkFileSystem?: boolean;
  /**
   * How long a write waits for other processes' writes before it fails with `BUSY`, in ms. Default:
   * 60,000.
   */
  readonly lockTimeoutMs?: number;
  /** Who may use what is created. Default: as the store's index has it, `owner` for a new store. */
  readonly sharedWith?: SharedWith;
  /** Segments are compressed together in blocks of this many bytes. Default: 256 KiB. */
  readonly segmentBlockBytes?: number;
  /** Manifest bodies are compressed together in blocks of this many bytes. Default: 1 MiB. */
  readonly bodyBlockBytes?: number;
  /** zstd level, 1 to 19. Default: 5. */
  readonly compressionLevel?: number;
  /** A pack file is sealed when it has this many bytes. Default: 64 MiB. */
  readonly packBytes?: number;
  /** Parts of messages shorter than this many bytes live in the manifest. Default: 512. */
  readonly inlineBelow?: number;
}

/** What a store in a directory is made of, besides its files. */
export interface LocalComponents {
  /** Milliseconds since the epoch. Default: `Date.now`. */
  readonly clock?: () => number;
}

/** The files of an open store. */
export interface OpenedFiles {
  readonly folder: StoreFolder;
  readonly packs: PackReader;
  readonly database: IndexDatabase;
  /** Holds the lock of this process, unless the store is only read. */
  readonly owner: PackOwner;
}

/**
 * Opens the files of the store in a directory.
 *
 * @throws `NOT_FOUND`, `INVALID_ARGUMENT`, `UNSUPPORTED_FORMAT`, `CORRUPT`, `DENIED`, `READ_ONLY`.
 */
export async function openFiles(path: string, options: LocalOptions): Promise<OpenedFiles> {
  const { lockTimeoutMs = 60_000 } = options;
  const root = resolve(path);
  assertUsable(root, options);
  for (const deadline = performance.now() + lockTimeoutMs; ; ) {
    throwIfAborted(options.signal);
    try {
      return openOnce(root, { ...options, lockTimeoutMs });
    } catch (error) {
      // Another process creates the store, or recovers it after a crash.
      if (!isVarveError(error, 'BUSY') || performance.now() > deadline) throw error;
      await sleep(Math.random() * 50);
    }
  }
}

/** @throws `INVALID_ARGUMENT` for a file, and where locks may not protect the store. */
function assertUsable(root: string, options: LocalOptions): void {
  const { readOnly = false, allowNetworkFileSystem = false } = options;
  try {
    const existing = statSync(root, { throwIfNoEntry: false });
    if (existing !== undefined && !existing.isDirectory()) {
      throw new VarveError('INVALID_ARGUMENT', `${root} is a file: a Varve store is a directory`);
    }
    const network = networkFileSystem(root);
    if (network !== undefined && !readOnly && !allowNetworkFileSystem) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `${root} is on a network file system (${network}), whose locks do not protect a store: ` +
          'use a local disk or an s3: location',
      );
    }
  } catch (cause) {
    throw toVarveError(cause, `opening the store at ${root}`);
  }
}

function openOnce(
  root: string,
  options: LocalOptions & Required<Pick<LocalOptions, 'lockTimeoutMs'>>,
): OpenedFiles {
  const { create = true, readOnly = false, packBytes = 64 * 1024 * 1024 } = options;
  const { lockTimeoutMs, sharedWith } = options;
  const folder = new StoreFolder(root);
  try {
    const database = openIndex(folder, { create, readOnly, lockTimeoutMs, sharedWith });
    const owner = new PackOwner(folder, database, packBytes);
    try {
      // Upgrades to a later format wait for those who hold their lock.
      if (!readOnly) owner.takeLock();
    } catch (cause) {
      database.close();
      throw toVarveError(cause, `opening the store at ${root}`);
    }
    return { folder, packs: new PackReader(folder), database, owner };
  } catch (error) {
    folder.close();
    throw error;
  }
}

/** Releases the lock of this process and closes the files. @throws `INTERNAL`. */
export async function closeFiles({ folder, packs, database, owner }: OpenedFiles): Promise<void> {
  try {
    await owner.release();
  } catch (cause) {
    const error = toVarveError(cause, `closing the store at ${folder.root}`);
    // Everything acknowledged is stored. The next process notes what could not be noted here, on a
    // full disk for example.
    if (error.code === 'INTERNAL') throw error;
  } finally {
    packs.closeAll();
    database.close();
    folder.close();
  }
}
