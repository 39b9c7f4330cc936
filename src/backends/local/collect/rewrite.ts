import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { CollectOptions } from '../../contract/maintenance.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { type PackAppender, removePack } from '../files/pack-files.ts';
import { syncFolder } from '../files/plain-files.ts';
import type { BlockDirectory, BlockRecord } from '../format/block.ts';
import { SEGMENTS, type Space, SWEPT } from '../format/schema.ts';
import { BlockStager } from '../packs/block-stager.ts';
import { joinExtents, surveySlots } from '../packs/extents.ts';
import { isOutdated } from '../packs/log-tail.ts';
import type { BlockPlace } from '../packs/record-store.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { CollectScope } from './collect-scope.ts';

/** Bytes before compression that one transaction rewrites: others wait as long. */
const STEP_BYTES = 4 * 1024 * 1024;

interface BlockRow extends BlockPlace {
  readonly space: Space;
  readonly raw: number;
}

/**
 * Moves what is alive in the given sealed packs into new blocks of full size, then removes the
 * packs that are left without any.
 *
 * Crash order: new blocks are written and flushed, then one transaction makes the extents name them
 * and drops the old ones, then the emptied pack is unlinked, then its row goes. Readers that still
 * hold the old snapshot read the unlinked file or retry.
 */
export async function rewritePacks(
  context: MaintenanceContext,
  packs: readonly number[],
  scope: CollectScope,
  { signal, onProgress }: CollectOptions,
): Promise<RewriteOutcome> {
  const blocks = packs.length === 0 ? [] : listBlocks(context.index, packs);
  let done = 0;
  let written = 0;
  for (const group of groupBlocks(blocks)) {
    throwIfAborted(signal);
    if (scope.isOver) break;
    written += await rewriteGroup(context, group, signal);
    done += group.length;
    onProgress?.({ phase: 'rewrite', done, total: blocks.length });
    await nextTurn();
  }
  return { written, left: new Set(blocks.slice(done).map(({ pack }) => pack)) };
}

/** What a rewrite came to. */
export interface RewriteOutcome {
  /** Stored bytes of the new blocks. */
  readonly written: number;
  /** The packs that it did not get to the end of. */
  readonly left: ReadonlySet<number>;
}

/** Removes sealed packs that hold no block any more; returns the bytes that gave back. */
export async function removeEmptyPacks({
  folder,
  index,
  packs,
}: MaintenanceContext): Promise<number> {
  const empty = index.database.all<{ id: number; size: number }>(
    'SELECT id, size FROM pack WHERE sealed = 1 AND NOT EXISTS (SELECT 1 FROM block WHERE ' +
      'pack = pack.id)',
  );
  if (empty.length === 0) return 0;
  for (const { id } of empty) {
    packs.forget(id);
    removePack(folder, id);
  }
  // A file that a power failure brought back would be nobody's once its row is gone.
  syncFolder(folder.packs);
  return index.database.write(() => {
    // Other collections do the same; each counts what it was the one to remove.
    const isRemoved = ({ id }: { id: number }) => {
      index.database.run('DELETE FROM void WHERE pack = ?', id);
      return index.database.run('DELETE FROM pack WHERE id = ? AND sealed = 1', id).changes > 0;
    };
    return empty.filter(isRemoved).reduce((freed, { size }) => freed + size, 0);
  });
}

/** The blocks of packs, by space and first record id. */
function listBlocks(index: LocalIndex, packs: readonly number[]): BlockRow[] {
  return index.database.all<BlockRow>(
    `SELECT block.id, block.space, pack, start, length, raw FROM block LEFT JOIN extent ON extent.block = block.id
     WHERE pack IN (SELECT id FROM pack WHERE sealed = 1 AND id IN (SELECT value FROM json_each(?))) GROUP BY block.id ORDER BY block.space, min(first)`,
    JSON.stringify(packs),
  );
}

/** Cuts the list into groups of one space for a transaction each. */
function* groupBlocks(blocks: readonly BlockRow[]): Generator<BlockRow[], void, undefined> {
  let group: BlockRow[] = [];
  let bytes = 0;
  for (const block of blocks) {
    if (group.length > 0 && (bytes + block.raw > STEP_BYTES || group[0]?.space !== block.space)) {
      yield group;
      group = [];
      bytes = 0;
    }
    group.push(block);
    bytes += block.raw;
  }
  if (group.length > 0) yield group;
}

async function rewriteGroup(
  context: MaintenanceContext,
  group: readonly BlockRow[],
  signal?: AbortSignal,
): Promise<number> {
  const { index, owner } = context;
  return owner.append((appender) => {
    index.refresh();
    const start = appender.end;
    rewriteBlocks(context, appender, group);
    index.bumpEpoch();
    return appender.end - start;
  }, signal);
}

function rewriteBlocks(
  context: MaintenanceContext,
  appender: PackAppender,
  group: readonly BlockRow[],
): void {
  const { index, tuning } = context;
  const space = (group[0] as BlockRow).space;
  const blockTuning = space === SEGMENTS ? tuning.segments : tuning.bodies;
  const stager = new BlockStager(index.database, appender, space, blockTuning);
  let sources: number[] = [];
  let records: BlockRecord[] = [];
  let bytes = 0;
  const flush = () => {
    records.sort((a, b) => a.id - b.id);
    const target = records.length === 0 ? undefined : stager.write(records);
    for (const source of sources) replaceBlock(index, source, target);
    if (target !== undefined) joinExtents(index.database, space, target);
    sources = [];
    records = [];
    bytes = 0;
  };
  for (const block of group) {
    const live = liveRecords(index, block);
    if (live === undefined) continue;
    const size = live.reduce((total, record) => total + record.bytes.length, 0);
    if (bytes > 0 && bytes + size > blockTuning.blockBytes) flush();
    sources.push(block.id);
    records.push(...live);
    bytes += size;
  }
  if (sources.length > 0) flush();
}

/**
 * The records of a block that are not swept and that the index leads to it; what is swept loses its
 * last trace in the index. `undefined` when the block was rewritten by somebody else, or is
 * damaged: then it stays where it is, for an audit to name.
 */
function liveRecords(index: LocalIndex, block: BlockRow): BlockRecord[] | undefined {
  if (index.database.get('SELECT 1 FROM block WHERE id = ?', block.id) === undefined)
    return undefined;
  try {
    const directory = index.records.directory(block);
    const { ids } = directory;
    const { reachable, others } = surveySlots(index.database, block.space, block.id, directory);
    // What another block has taken over is dead here; what is lost to the index is kept for an
    // audit to name.
    const lost = others.filter(
      (slot) =>
        !isOutdated(index, block, ids[slot] as number) &&
        index.records.locate(block.space, ids[slot] as number) === undefined,
    );
    const own = [...reachable, ...lost].sort((a, b) => a - b);
    const held = new Set(own.map((slot) => ids[slot] as number));
    const swept = sweptRecords(index, block.space, ids).filter((id) => held.has(id));
    const gone = new Set(swept);
    const slots = own.filter((slot) => !gone.has(ids[slot] as number));
    // Where nothing is alive, damage to the rest does not matter.
    const live =
      slots.length === 0 ? [] : recordsOf(directory, index.records.readPayload(block), slots);
    for (const id of swept)
      index.database.run('DELETE FROM state WHERE space = ? AND record = ?', block.space, id);
    return live;
  } catch (error) {
    if (isUnreadable(error)) return undefined;
    throw error;
  }
}

/** The swept records from the first to the last of the given ids. */
function sweptRecords(index: LocalIndex, space: Space, ids: Float64Array): number[] {
  const rows = index.database.all<{ record: number }>(
    'SELECT record FROM state WHERE space = ? AND record BETWEEN ? AND ? AND refs = ?',
    space,
    ids[0] ?? 0,
    ids.at(-1) ?? -1,
    SWEPT,
  );
  return rows.map(({ record }) => record);
}

function recordsOf(
  directory: BlockDirectory,
  payload: Uint8Array,
  slots: readonly number[],
): BlockRecord[] {
  return slots.map((slot) => {
    const id = directory.ids[slot] as number;
    const bytes = payload.subarray(directory.offsets[slot], directory.offsets[slot + 1]);
    const tokens = directory.isTokens(slot);
    return directory.space === SEGMENTS
      ? { id, bytes, tokens, address: directory.address(slot) }
      : { id, bytes, tokens };
  });
}

/**
 * Lets the extents of a block name the one that took over its records, or nothing when none were
 * left.
 */
function replaceBlock(index: LocalIndex, source: number, target: number | undefined): void {
  if (target === undefined) index.database.run('DELETE FROM extent WHERE block = ?', source);
  else index.database.run('UPDATE extent SET block = ? WHERE block = ?', target, source);
  index.database.run('DELETE FROM block WHERE id = ?', source);
}
