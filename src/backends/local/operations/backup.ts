import { closeSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import { VarveError } from '../../../core/errors.ts';
import type { BackupOptions, BackupReport } from '../../contract/backup.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { copyInto } from '../database/index-upkeep.ts';
import { inspectIndex } from '../database/open-index.ts';
import { PackVanished } from '../files/pack-files.ts';
import { createFile, lengthOfFile, modesOf } from '../files/plain-files.ts';
import { INDEX_FILE, type StoreFolder } from '../files/store-folder.ts';
import { BACKUP_MARK, CREATED } from '../format/schema.ts';
import { partialIndexOf, prepareTarget, publishIndex, removeOtherPacks } from './backup-target.ts';
import { copyPack, hasBlocks, type PackRow } from './copy-pack.ts';

/** Attempts with a new snapshot when a collection removed packs that the last one names. */
const ATTEMPTS = 20;

/** What is copied from where to where. */
interface BackupJob {
  readonly store: StoreFolder;
  readonly database: IndexDatabase;
  readonly folder: string;
  /** As for {@link backUp}. */
  readonly mark: number | undefined;
  readonly options: BackupOptions;
}

/**
 * Copies a store, as of one moment, into a folder: first the index, as one snapshot, then the packs
 * that it names. Packs only grow beyond what that snapshot knows, and never change; a missing pack
 * was removed by a collection, so there is a newer state to copy.
 *
 * A folder with an older backup keeps the packs that both have in common, and is a complete backup
 * at any moment: packs are added before the index is replaced, and removed after.
 *
 * @param mark the present time, in ms, for a backup; `undefined` for a store that will be written
 *   to.
 * @throws `INVALID_ARGUMENT` when the folder contains anything but a backup, `BUSY` when
 *   collections keep interrupting it, `NO_SPACE`, `IO`.
 */
export async function backUp(
  store: StoreFolder,
  database: IndexDatabase,
  target: string,
  options: BackupOptions,
  mark: number | undefined,
): Promise<BackupReport> {
  const started = performance.now();
  const folder = resolve(target);
  prepareTarget(store.root, folder, database.meta(CREATED));
  const { packs, copiedBytes } = await copyStore({ store, database, folder, mark, options });
  publishIndex(folder);
  removeOtherPacks(
    folder,
    packs.map(({ id }) => id),
  );
  const indexBytes = lengthOfFile(join(folder, INDEX_FILE));
  return {
    location: folder,
    packs: packs.length,
    bytes: packs.reduce((total, { size }) => total + size, 0) + indexBytes,
    copiedBytes: copiedBytes + indexBytes,
    durationMs: performance.now() - started,
  };
}

/** Copies the index, then the packs that it names, until no collection came in between. */
async function copyStore(
  job: BackupJob,
): Promise<{ packs: readonly PackRow[]; copiedBytes: number }> {
  let copiedBytes = 0;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const index = copyIndex(job);
    try {
      const packs = index.all<PackRow>('SELECT id, size FROM pack ORDER BY id');
      const copied = await copyPacks(job, index, packs);
      copiedBytes += copied.bytes;
      if (copied.isWhole) return { packs, copiedBytes };
    } finally {
      index.close();
    }
  }
  throw new VarveError(
    'BUSY',
    'collections kept removing packs during the backup: run it again when they have ended',
  );
}

/** Copies the index as it is now, beside that of an older backup. Close it soon. */
function copyIndex({ database, folder, mark }: BackupJob): IndexDatabase {
  const partial = partialIndexOf(folder);
  rmSync(partial, { force: true });
  closeSync(createFile(partial, modesOf(folder, undefined)));
  copyInto(database, partial, { [BACKUP_MARK]: mark });
  return inspectIndex(partial);
}

/** Stops at a pack that a collection has removed: `isWhole` is false then. */
async function copyPacks(
  job: BackupJob,
  index: IndexDatabase,
  packs: readonly PackRow[],
): Promise<{ bytes: number; isWhole: boolean }> {
  const { signal, onProgress } = job.options;
  let bytes = 0;
  for (const [number, pack] of packs.entries()) {
    throwIfAborted(signal);
    const copied = copyPack(job.store, job.folder, index, pack) ?? bytesOfLostPack(job, pack);
    if (copied === undefined) return { bytes, isWhole: false };
    bytes += copied;
    onProgress?.({ phase: 'copy', done: number + 1, total: packs.length });
    await nextTurn();
  }
  return { bytes, isWhole: true };
}

/**
 * The bytes copied of a pack whose file is missing: 0 when the store still needs the pack, which is
 * damage; `undefined` when a collection has removed it, which clears the index first.
 */
function bytesOfLostPack({ store, database, mark }: BackupJob, pack: PackRow): 0 | undefined {
  if (!hasBlocks(database, pack)) return undefined;
  // A store restored from a backup is audited, and that audit reports what the pack contained.
  if (mark !== undefined) throw new PackVanished(store.root, pack.id);
  return 0;
}
