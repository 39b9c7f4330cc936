import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import type { CollectOptions } from '../../contract/collection.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { removePack } from '../files/pack-files.ts';
import { syncFolder } from '../files/plain-files.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { CollectScope } from './collect-scope.ts';
import { type BlockRow, rewriteBlocks } from './rewrite-blocks.ts';

/** Bytes before compression that one transaction rewrites. Other writers wait meanwhile. */
const STEP_BYTES = 4 * 1024 * 1024;

/** What a rewrite has done. */
export interface RewriteOutcome {
  /** Stored bytes of the new blocks. */
  readonly written: number;
  /** The packs that the deadline left no time for. */
  readonly left: ReadonlySet<number>;
}

/**
 * Moves what is alive in the given sealed packs into new blocks of full size. Packs that are left
 * without blocks are removed by {@link removeEmptyPacks}.
 *
 * The order matters when a process dies:
 *
 * 1. New blocks are appended to this process's pack, and flushed.
 * 2. One transaction makes the extents name them, and drops the old blocks.
 * 3. The file of the emptied pack is unlinked, and the folder flushed.
 * 4. The row of the pack goes.
 *
 * Readers that still have the old snapshot read the unlinked file, or look again.
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

/** Removes sealed packs that hold no block any more; returns the stored bytes that this frees. */
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
  // After a power failure the file could be back, and once its row is gone it has no owner.
  syncFolder(folder.packs);
  return index.database.write(() => {
    // Other collections do the same: each counts only what it has removed itself.
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
