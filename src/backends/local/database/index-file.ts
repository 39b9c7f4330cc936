import { closeSync, existsSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../../core/errors.ts';
import {
  createFile,
  type Modes,
  makeFolder,
  modesOf,
  type SharedWith,
} from '../files/plain-files.ts';
import { INDEX_FILE, PARTIAL_INDEX_FILE } from '../files/store-folder.ts';

/** How an index is opened. */
export interface IndexOptions {
  readonly create: boolean;
  readonly readOnly: boolean;
  /** How long a writer waits for other processes' commits, in ms. */
  readonly lockTimeoutMs: number;
  /** Who may use what is made. Default: as the index has it. */
  readonly sharedWith?: SharedWith | undefined;
}

/**
 * A new index beside old packs would give their names again, and treat their content as garbage.
 *
 * @throws `CORRUPT` when there are packs.
 */
export function assertNoPacks(root: string): void {
  const folder = join(root, 'packs');
  const pack = existsSync(folder)
    ? readdirSync(folder).find((name) => name.endsWith('.pack'))
    : undefined;
  if (pack === undefined) return;
  throw new VarveError(
    'CORRUPT',
    `the index ${join(root, INDEX_FILE)} is missing or empty, but ${join(folder, pack)} is ` +
      'there: rebuild the store from its packs with varve salvage',
  );
}

/**
 * @throws `INVALID_ARGUMENT` when a salvage into a folder was cut off: its packs lack what was not
 * written yet.
 */
export function assertFinished(root: string): void {
  // A backup has such a file, too, but no empty index.
  if (!existsSync(join(root, PARTIAL_INDEX_FILE))) return;
  if (lstatSync(join(root, INDEX_FILE), { throwIfNoEntry: false })?.size !== 0) return;
  throw new VarveError(
    'INVALID_ARGUMENT',
    `a salvage into ${root} has not ended: if it does not run any more, remove the folder, ` +
      'and salvage the store again',
  );
}

/**
 * Makes the folders and the empty index of a new store.
 *
 * @throws `NOT_FOUND` when it may not be created, `INVALID_ARGUMENT` when the folder holds other
 *   things.
 */
export function prepareFolder(root: string, { create, readOnly, sharedWith }: IndexOptions): void {
  if (!create || readOnly) {
    if (!existsSync(join(root, INDEX_FILE))) assertNoPacks(root);
    throw new VarveError('NOT_FOUND', `there is no Varve store at ${root}`);
  }
  const modes = modesOf(root, sharedWith);
  makeFolder(root, modes);
  // Another process may be creating the same store right now.
  const foreign = readdirSync(root).filter(
    (name) => !['packs', 'locks', 'lost+found'].includes(name) && !name.startsWith(INDEX_FILE),
  );
  if (foreign.length > 0) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${root} is not a Varve store and is not empty (it holds ` +
        `${JSON.stringify(foreign[0])}): name a new or empty folder`,
    );
  }
  // Another process may have created the store since the caller looked.
  if (!existsSync(join(root, INDEX_FILE))) assertNoPacks(root);
  makeFolder(join(root, 'packs'), modes);
  makeFolder(join(root, 'locks'), modes);
  createIndexFile(root, modes);
}

/** SQLite would make it readable to everybody; SQLite's files beside it get the same mode. */
function createIndexFile(root: string, modes: Modes): void {
  try {
    closeSync(createFile(join(root, INDEX_FILE), modes));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
