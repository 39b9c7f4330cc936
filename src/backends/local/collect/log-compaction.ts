import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { CollectOptions } from '../../contract/maintenance.ts';
import { stateOf, writeRecords } from '../commit/commit-log.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import type { PackAppender } from '../files/pack-files.ts';
import type { LogOperation, PackSpan } from '../format/log-record.ts';
import { KIND_NUMBERS, LOG } from '../format/schema.ts';
import type { BlockPlace } from '../packs/record-store.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { ManifestRow } from '../tables/manifest-table.ts';
import type { CollectScope } from './collect-scope.ts';

/**
 * The log is compacted by a snapshot of all manifests, a range of rows a transaction. When it has
 * come to the last row, the number of its first record is the new floor: what lies below is
 * dropped.
 *
 * Entries of `header`: `log` is the number of the newest record, `log_floor` that from which on the
 * log tells everything (0: not yet), `log_waste` an estimate of the bytes that a snapshot would
 * spare. Of the snapshot under way, `log_run` is the number of its first record (0: there is none),
 * `log_row` the first row that it does not cover yet.
 */

/** Rows, and entries of these, that one transaction covers. */
const STEP_ROWS = 4096;
const STEP_ENTRIES = 64 * 1024;

/**
 * An everyday collection compacts a log of which more is waste, in bytes, and more than half; a
 * full one, a quarter.
 */
const SMALLEST_WASTE = 128 * 1024;

/** Blocks dropped in one transaction. */
const DROPPED_BLOCKS = 1000;

/** Whether a collection is to compact the log. */
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
 * Compacts the log, or goes on with that.
 *
 * @param isAnew whether nothing that was deleted by now may be left in it: then it begins anew.
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

interface Step {
  readonly isLast: boolean;
  readonly rows: number;
  readonly bytes: number;
}

/** Writes the next rows of the snapshot. */
function snapshotStep({ index, tuning }: MaintenanceContext, appender: PackAppender): Step {
  index.refresh();
  const { database } = index;
  const run = database.meta('log_run');
  // Another process has come to the end.
  if (run === 0) return { isLast: true, rows: 0, bytes: 0 };
  const start = appender.end;
  const first = database.meta('log_row');
  const { operations, rows, end } = collectRows(index, first);
  const isLast = end === 0;
  if (isLast) {
    database.setMeta('log_floor', run);
    database.setMeta('log_run', 0);
  } else database.setMeta('log_row', end);
  // The records that told of these are below the floor from now on.
  const voids = database.all<PackSpan>(
    `SELECT pack, start, length FROM void ${isLast ? '' : 'WHERE stated = 0'}`,
  );
  writeRecords(index, appender, tuning.bodies.level, voids, { first, end }, operations);
  return { isLast, rows, bytes: appender.end - start };
}

interface Range {
  readonly operations: LogOperation[];
  readonly rows: number;
  /** The row that the next range begins with; 0 when there is none. */
  readonly end: number;
}

function collectRows(index: LocalIndex, first: number): Range {
  const page = index.database.all<ManifestRow>(
    'SELECT * FROM manifest WHERE id >= ? ORDER BY id LIMIT ?',
    first,
    STEP_ROWS + 1,
  );
  const operations: LogOperation[] = [];
  let entries = 0;
  for (const [at, row] of page.entries()) {
    if (at === STEP_ROWS || entries > STEP_ENTRIES) return { operations, rows: at, end: row.id };
    if (row.kind === KIND_NUMBERS.upload) continue;
    entries += addRow(index, row, operations);
  }
  return { operations, rows: page.length, end: 0 };
}

/** Adds what makes a row; returns how many entries it has. */
function addRow(index: LocalIndex, row: ManifestRow, operations: LogOperation[]): number {
  const state = stateOf(index, row);
  const { bodies, nonces } = index.manifests.entries(row);
  const { id, kind, name } = row;
  const part = (from: number) => ({
    bodies: bodies.slice(from, from + STEP_ENTRIES),
    nonces: nonces
      .filter(([at]) => at >= from && at < from + STEP_ENTRIES)
      .map(([at, nonce]) => [at - from, nonce] as const),
  });
  operations.push({ type: 'put', row: id, kind, name, state, entries: part(0), dropped: [] });
  for (let from = STEP_ENTRIES; from < bodies.length; from += STEP_ENTRIES) {
    operations.push({ type: 'append', row: id, from, state, entries: part(from) });
  }
  const hold = index.holds.find(id);
  if (hold !== undefined)
    operations.push({ type: 'hold', row: id, since: hold.since, reason: hold.reason ?? null });
  return bodies.length;
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
    // What it held is told by the snapshot; later records of a damaged block are lost in any case.
    if (isUnreadable(error)) return undefined;
    throw error;
  }
}
