import { closeSync, fdatasyncSync, fstatSync, readSync, writeSync } from 'node:fs';
import { VarveError } from '../../../core/errors.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { packPath } from '../files/pack-files.ts';
import { createFile, modesOf, openFile } from '../files/plain-files.ts';
import type { StoreFolder } from '../files/store-folder.ts';
import { BLOCK_HEADER_BYTES } from '../format/block.ts';

/** Bytes copied at a time. */
const PIECE_BYTES = 4 * 1024 * 1024;

/** A pack, and the bytes of it that an index knows. */
export interface PackRow {
  readonly id: number;
  readonly size: number;
}

/** Whether an index names a block in a pack. */
export function hasBlocks(index: IndexDatabase, { id }: PackRow): boolean {
  return index.get('SELECT 1 FROM block WHERE pack = ?', id) !== undefined;
}

/**
 * Updates the copy of a pack to what the index knows of it. Returns the number of bytes copied, or
 * `undefined` when the pack is gone. Keeps what an older backup has of it if its blocks have the
 * same checksums.
 */
export function copyPack(
  store: StoreFolder,
  folder: string,
  index: IndexDatabase,
  pack: PackRow,
): number | undefined {
  const { id, size } = pack;
  const source = openIfThere(packPath(store.root, id), 'read');
  try {
    store.assertPacks();
  } catch (error) {
    if (source !== undefined) closeSync(source);
    throw error;
  }
  if (source === undefined) return hasBlocks(index, pack) ? undefined : 0;
  const path = packPath(folder, id);
  const target = openIfThere(path, 'write') ?? createFile(path, modesOf(folder, undefined));
  try {
    const length = Math.min(size, fstatSync(source).size);
    const have = Math.min(length, fstatSync(target).size);
    const first = commonBytes(source, target, index, { id, size: have }, path);
    const end = copyBytes(source, target, first, length);
    if (end > first) fdatasyncSync(target);
    return end - first;
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

/** Copies bytes from `start` to `end`; returns where it stopped: before, if the file is short. */
function copyBytes(source: number, target: number, start: number, end: number): number {
  let at = start;
  const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, Math.max(1, end - at)));
  while (at < end) {
    const read = readSync(source, piece, 0, Math.min(piece.length, end - at), at);
    if (read === 0) break;
    for (let written = 0; written < read; )
      written += writeSync(target, piece, written, read - written, at + written);
    at += read;
  }
  return at;
}

function openIfThere(path: string, access: 'read' | 'write'): number | undefined {
  try {
    return openFile(path, access).fd;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
