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
import { StoreFolder } from './files/store-folder.ts';
import type { CompleteLocalOptions } from './local-options.ts';
import { PackOwner } from './packs/pack-owner.ts';

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
export async function openFiles(path: string, options: CompleteLocalOptions): Promise<OpenedFiles> {
  const { lockTimeoutMs } = options;
  const root = resolve(path);
  assertUsable(root, options);
  for (const deadline = performance.now() + lockTimeoutMs; ; ) {
    throwIfAborted(options.signal);
    try {
      return openOnce(root, options);
    } catch (error) {
      // Another process creates the store, or recovers it after a crash.
      if (!isVarveError(error, 'BUSY') || performance.now() > deadline) throw error;
      await sleep(Math.random() * 50);
    }
  }
}

/** @throws `INVALID_ARGUMENT` for a file, and where locks may not protect the store. */
function assertUsable(root: string, options: CompleteLocalOptions): void {
  const { readOnly, allowNetworkFileSystem } = options;
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

function openOnce(root: string, options: CompleteLocalOptions): OpenedFiles {
  const { create, readOnly, packBytes, lockTimeoutMs, sharedWith } = options;
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
