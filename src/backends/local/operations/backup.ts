import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import { VarveError } from '../../../core/errors.ts';
import { assertApart } from '../../../core/system/real-path.ts';
import { toVarveError } from '../../../core/system/system-error.ts';
import type { BackupOptions, BackupReport } from '../../contract/maintenance.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { copyInto } from '../database/index-upkeep.ts';
import { inspectIndex } from '../database/open-index.ts';
import { isWriterAlive } from '../database/writer-lock.ts';
import { PackVanished, packPath } from '../files/pack-files.ts';
import {
  assertPlain,
  createFile,
  lengthOfFile,
  makeFolder,
  modesOf,
  openFile,
  syncFolder,
} from '../files/plain-files.ts';
import { INDEX_FILE, type StoreFolder } from '../files/store-folder.ts';
import { BLOCK_HEADER_BYTES } from '../format/block.ts';
import { BACKUP_MARK, CREATED } from '../format/schema.ts';

/** Bytes copied at a time. */
const PIECE_BYTES = 4 * 1024 * 1024;

/** Attempts with a new snapshot when a collection removed packs that the last one names. */
const ATTEMPTS = 20;

interface PackRow {
  readonly id: number;
  readonly size: number;
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
  { signal, onProgress }: BackupOptions,
  mark: number | undefined,
): Promise<BackupReport> {
  const started = performance.now();
  const { root } = store;
  const folder = resolve(target);
  prepareTarget(root, folder, database.meta(CREATED));
  const partial = join(folder, `${INDEX_FILE}.partial`);
  let copiedBytes = 0;
  for (let attempt = 1; ; attempt++) {
    rmSync(partial, { force: true });
    closeSync(createFile(partial, modesOf(folder, undefined)));
    copyInto(database, partial, { [BACKUP_MARK]: mark });
    const copy = inspectIndex(partial);
    let rows: PackRow[];
    try {
      rows = copy.all<PackRow>('SELECT id, size FROM pack ORDER BY id');
      let isCurrent = true;
      for (const [number, row] of rows.entries()) {
        throwIfAborted(signal);
        let copied = copyPack(store, folder, copy, row);
        if (copied === undefined && isNeeded(database, row)) {
          // A store restored from a backup is audited, and that audit reports what the pack
          // contained.
          if (mark !== undefined) throw new PackVanished(root, row.id);
          copied = 0;
        }
        if (copied === undefined) {
          isCurrent = false;
          break;
        }
        copiedBytes += copied;
        onProgress?.({ phase: 'copy', done: number + 1, total: rows.length });
        await nextTurn();
      }
      if (!isCurrent) {
        if (attempt < ATTEMPTS) continue;
        throw new VarveError(
          'BUSY',
          'collections kept removing packs under the backup: run it again when they have ended',
        );
      }
    } finally {
      copy.close();
    }
    const kept = new Set(rows.map(({ id }) => packPath(folder, id)));
    publish(folder, partial, kept);
    const bytes =
      rows.reduce((total, { size }) => total + size, 0) + lengthOfFile(join(folder, INDEX_FILE));
    return {
      location: folder,
      packs: rows.length,
      bytes,
      copiedBytes: copiedBytes + lengthOfFile(join(folder, INDEX_FILE)),
      durationMs: performance.now() - started,
    };
  }
}

/**
 * Whether the store still has something in the pack. Collections clear the index before they remove
 * the file.
 */
function isNeeded(database: IndexDatabase, { id }: PackRow): boolean {
  return database.get('SELECT 1 FROM block WHERE pack = ?', id) !== undefined;
}

/**
 * Accepts only an empty folder, or one with a backup to which nobody has written.
 *
 * @param created when the store was created, in ms; no two stores are likely to share it.
 */
function prepareTarget(root: string, folder: string, created: number): void {
  assertApart(folder, root);
  assertPlain(folder);
  const modes = modesOf(folder, undefined);
  makeFolder(folder, modes);
  const others = readdirSync(folder).filter(
    (name) => !['packs', 'locks', 'lost+found', `${INDEX_FILE}.partial`].includes(name),
  );
  if (others.length > 0) {
    if (!existsSync(join(folder, INDEX_FILE))) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `${folder} holds ${JSON.stringify(others[0])}, not a backup: name a new or empty folder`,
      );
    }
    const index = inspectBackup(folder);
    try {
      if (index.meta(BACKUP_MARK) === 0) {
        throw new VarveError(
          'INVALID_ARGUMENT',
          `${folder} holds a store, or a backup that was written to: name a new or empty ` +
            'folder, or move it away',
        );
      }
      if (index.meta(CREATED) !== created) {
        throw new VarveError(
          'INVALID_ARGUMENT',
          `${folder} holds a backup of another store, made ` +
            `${new Date(index.meta(BACKUP_MARK)).toISOString()}: name a new or empty folder, ` +
            'or move it away',
        );
      }
    } finally {
      index.close();
    }
  }
  makeFolder(join(folder, 'packs'), modes);
  makeFolder(join(folder, 'locks'), modes);
  const locks = readdirSync(join(folder, 'locks')).filter((name) => name.endsWith('.lock'));
  if (locks.some((name) => isWriterAlive(folder, name.slice(0, -'.lock'.length)))) {
    throw new VarveError('BUSY', `a process is writing to the backup in ${folder}: close it first`);
  }
}

/** An error here concerns the backup, not the store. */
function inspectBackup(folder: string): IndexDatabase {
  try {
    return inspectIndex(join(folder, INDEX_FILE));
  } catch (cause) {
    throw toVarveError(cause, `reading the older backup in ${folder}`);
  }
}

/**
 * Updates the copy of a pack to what the index knows of it. Returns the number of bytes copied, or
 * `undefined` when the pack is gone. Keeps what an older backup has of it if its blocks have the
 * same checksums.
 */
function copyPack(
  store: StoreFolder,
  folder: string,
  index: IndexDatabase,
  { id, size }: PackRow,
): number | undefined {
  const source = openIfThere(packPath(store.root, id), 'read');
  try {
    store.assertPacks();
  } catch (error) {
    if (source !== undefined) closeSync(source);
    throw error;
  }
  if (source === undefined)
    return index.get('SELECT 1 FROM block WHERE pack = ?', id) === undefined ? 0 : undefined;
  const path = packPath(folder, id);
  const target = openIfThere(path, 'write') ?? createFile(path, modesOf(folder, undefined));
  try {
    const length = Math.min(size, fstatSync(source).size);
    const have = Math.min(length, fstatSync(target).size);
    const first = commonBytes(source, target, index, { id, size: have }, path);
    let at = first;
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, Math.max(1, length - at)));
    while (at < length) {
      const read = readSync(source, piece, 0, Math.min(piece.length, length - at), at);
      if (read === 0) break;
      for (let written = 0; written < read; )
        written += writeSync(target, piece, written, read - written, at + written);
      at += read;
    }
    if (at > first) fdatasyncSync(target);
    return at - first;
  } finally {
    closeSync(source);
    closeSync(target);
  }
}

/**
 * How many of the first `size` bytes of a pack its copy already has: whole blocks, compared by
 * checksum.
 *
 * @throws `INVALID_ARGUMENT` when they differ: writing over them would break the older backup
 *   before the new one is complete.
 */
function commonBytes(
  source: number,
  target: number,
  index: IndexDatabase,
  { id, size }: PackRow,
  path: string,
): number {
  const blocks = index.all<{ start: number; length: number }>(
    'SELECT start, length FROM block WHERE pack = ? AND start + length <= ? ORDER BY start',
    id,
    size,
  );
  const [ours, theirs] = [Buffer.alloc(BLOCK_HEADER_BYTES), Buffer.alloc(BLOCK_HEADER_BYTES)];
  for (const { start } of blocks) {
    readSync(source, ours, 0, BLOCK_HEADER_BYTES, start);
    readSync(target, theirs, 0, BLOCK_HEADER_BYTES, start);
    if (ours.equals(theirs)) continue;
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${path} belongs to another store, or is damaged: back up to a new folder`,
    );
  }
  const last = blocks.at(-1);
  return last === undefined ? 0 : last.start + last.length;
}

/**
 * Publishes the copied index as that of the backup, and removes packs that only the older one
 * needed.
 */
function publish(folder: string, partial: string, kept: ReadonlySet<string>): void {
  syncFile(partial);
  syncFolder(join(folder, 'packs'));
  // The log of an older backup must not be applied to the new index.
  for (const suffix of ['-wal', '-shm'])
    rmSync(join(folder, `${INDEX_FILE}${suffix}`), { force: true });
  renameSync(partial, join(folder, INDEX_FILE));
  syncFolder(folder);
  for (const name of readdirSync(join(folder, 'packs'))) {
    const path = join(folder, 'packs', name);
    if (!kept.has(path)) rmSync(path, { force: true });
  }
}

function openIfThere(path: string, access: 'read' | 'write'): number | undefined {
  try {
    return openFile(path, access).fd;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function syncFile(path: string): void {
  const file = openSync(path, 'r+');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
