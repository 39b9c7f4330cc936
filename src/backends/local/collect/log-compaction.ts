import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { CollectOptions } from '../../contract/collection.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { LOG } from '../format/schema.ts';
import type { BlockPlace } from '../packs/record-store.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { CollectScope } from './collect-scope.ts';
import { snapshotStep } from './log-snapshot.ts';

/**
 * How the log is compacted. The order matters when a process dies:
 *
 * 1. A snapshot of all manifests is appended to the log, a range of rows in each transaction.
 * 2. With the last range, the number of the snapshot's first record becomes the new floor.
 * 3. The records below the floor are dropped.
 *
 * Entries of the table `header`: `log` is the number of the newest record. `log_floor` is the
 * number from which on the log has everything (0: not yet). `log_waste` estimates the bytes that a
 * snapshot would save. Of the snapshot under way, `log_run` is the number of its first record (0:
 * there is none), and `log_row` is the first row that it does not cover yet.
 */

/**
 * An everyday collection compacts a log with more waste than this, in bytes, if it is more than
 * half of the log; a full one, if it is more than a quarter.
 */
const SMALLEST_WASTE = 128 * 1024;

/** Blocks dropped in one transaction. */
const DROPPED_BLOCKS = 1000;

/** Whether a collection compacts the log. */
export function isLogDue(
  { database }: LocalIndex,
  { full = false, erase = false }: CollectOptions,
): boolean {
  if (database.meta('log_run') > 0) return true;
  const waste = database.meta('log_waste');
  if (erase) return waste > 0;
  if (full) return waste > logBytes(database) / 4;
  return waste > SMALLEST_WASTE && waste > logBytes(database) / 2;
}

/** Bytes of all records of the log before compression. */
function logBytes(database: LocalIndex['database']): number {
  return database.value<number>('SELECT sum(raw - dead) FROM block WHERE space = ?', LOG) ?? 0;
}

/**
 * Compacts the log, or continues an unfinished compaction.
 *
 * @param isAnew begin again, so that nothing that is deleted by now is left in the log.
 * @returns bytes appended.
 */
export async function compactLog(
  context: MaintenanceContext,
  isAnew: boolean,
  scope: CollectScope,
  { signal, onProgress }: CollectOptions,
): Promise<number> {
  const { index, owner } = context;
  await index.database.write(() => begin(index, isAnew), signal);
  const total = index.database.value<number>('SELECT count(*) FROM manifest') ?? 0;
  let written = 0;
  for (let done = 0, isOver = false; !isOver; ) {
    throwIfAborted(signal);
    if (scope.isOver) return written;
    const step = await owner.append((appender) => snapshotStep(context, appender), signal);
    isOver = step.isLast;
    written += step.bytes;
    done += step.rows;
    onProgress?.({ phase: 'log', done, total: Math.max(done, total) });
    await nextTurn();
  }
  await dropOldRecords(context, signal);
  return written;
}

function begin(index: LocalIndex, isAnew: boolean): void {
  const { database } = index;
  if (!isAnew && database.meta('log_run') > 0) return;
  database.setMeta('log_run', index.log.newest + 1);
  database.setMeta('log_row', 0);
  database.setMeta('log_waste', 0);
}

/**
 * Drops blocks whose records are below the floor, and marks such records as dead in a block that
 * has later ones.
 */
async function dropOldRecords({ index }: MaintenanceContext, signal?: AbortSignal): Promise<void> {
  for (let dropped = DROPPED_BLOCKS; dropped === DROPPED_BLOCKS; ) {
    throwIfAborted(signal);
    dropped = await index.database.write(() => {
      index.refresh();
      const blocks = index.database.all<BlockPlace & { first: number }>(
        `SELECT first, block.id, pack, start, length FROM extent JOIN block ON block.id = extent.block
         WHERE extent.space = ? AND first < ? ORDER BY first LIMIT ?`,
        LOG,
        index.database.meta('log_floor'),
        DROPPED_BLOCKS,
      );
      for (const { first, ...block } of blocks) dropBlock(index, first, block);
      if (blocks.length > 0) index.bumpEpoch();
      return blocks.length;
    }, signal);
    await nextTurn();
  }
}

function dropBlock(index: LocalIndex, first: number, block: BlockPlace): void {
  const { database } = index;
  const floor = database.meta('log_floor');
  const later = laterRecords(index, block, floor);
  if (later === undefined) {
    database.run('DELETE FROM extent WHERE block = ?', block.id);
    database.run('DELETE FROM block WHERE id = ?', block.id);
    return;
  }
  database.run('DELETE FROM extent WHERE space = ? AND first = ?', LOG, first);
  database.run(
    'INSERT OR IGNORE INTO extent (space, first, block) VALUES (?, ?, ?)',
    LOG,
    later.first,
    block.id,
  );
  database.run('UPDATE block SET dead = ? WHERE id = ?', later.dead, block.id);
}

/**
 * The first record of a block from the floor on, and the bytes of those before; `undefined` when
 * there is none.
 */
function laterRecords(
  index: LocalIndex,
  block: BlockPlace,
  floor: number,
): { first: number; dead: number } | undefined {
  try {
    const { ids, offsets } = index.records.directory(block);
    const slot = ids.findIndex((id) => id >= floor);
    return slot < 0 ? undefined : { first: ids[slot] as number, dead: offsets[slot] as number };
  } catch (error) {
    // The snapshot has what the block held; later records of a damaged block are lost in any case.
    if (isUnreadable(error)) return undefined;
    throw error;
  }
}
