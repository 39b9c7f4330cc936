import { isUnreadable } from '../../../core/errors.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import type { PackAppender } from '../files/pack-files.ts';
import type { BlockDirectory, BlockRecord } from '../format/block.ts';
import { SEGMENTS, type Space, SWEPT } from '../format/schema.ts';
import { BlockStager } from '../packs/block-stager.ts';
import { joinExtents, surveySlots } from '../packs/extents.ts';
import { isOutdated } from '../packs/log-tail.ts';
import type { BlockPlace } from '../packs/record-store.ts';
import type { LocalIndex } from '../tables/local-index.ts';

/** A block to rewrite. */
export interface BlockRow extends BlockPlace {
  readonly space: Space;
  /** Bytes before compression. */
  readonly raw: number;
}

/** Writes what is alive in a group of blocks of one space into new blocks. In a transaction. */
export function rewriteBlocks(
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
    const live = liveContent(index, block, blockTuning.blockBytes);
    if (live === undefined) continue;
    if ('whole' in live) {
      const target = stager.copy(live.whole, block.raw, live.records);
      replaceBlock(index, block.id, target);
      joinExtents(index.database, space, target);
      continue;
    }
    const size = live.records.reduce((total, record) => total + record.bytes.length, 0);
    if (bytes > 0 && bytes + size > blockTuning.blockBytes) flush();
    sources.push(block.id);
    records.push(...live.records);
    bytes += size;
  }
  if (sources.length > 0) flush();
}

/** What is alive in a block: records, or all of it, as it is stored, and how many records. */
type LiveContent =
  | { readonly records: readonly BlockRecord[] }
  | { readonly whole: Buffer; readonly records: number };

/**
 * The records of a block that are not swept, and to which the index leads. Swept ones lose their
 * last trace in the index. A block that is full, and in which all is alive, need not be compressed
 * again. `undefined` when another process has rewritten the block, or when it is damaged: then it
 * stays where it is, and an audit reports it.
 */
function liveContent(
  index: LocalIndex,
  block: BlockRow,
  blockBytes: number,
): LiveContent | undefined {
  if (index.database.get('SELECT 1 FROM block WHERE id = ?', block.id) === undefined)
    return undefined;
  try {
    const directory = index.records.directory(block);
    const { ids } = directory;
    const { reachable, others } = surveySlots(index.database, block.space, block.id, directory);
    // Records that another block has taken over are dead here. Records that the index has lost
    // are kept: an audit reports them.
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
    if (slots.length === directory.records && block.raw > blockBytes / 2)
      return { whole: index.records.readBlock(block), records: slots.length };
    // Where nothing is alive, damage to the rest does not matter.
    const records =
      slots.length === 0 ? [] : recordsOf(directory, index.records.readPayload(block), slots);
    for (const id of swept)
      index.database.run('DELETE FROM state WHERE space = ? AND record = ?', block.space, id);
    return { records };
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
 * Makes the extents of a block name the one that took over its records; drops them when nothing was
 * alive.
 */
function replaceBlock(index: LocalIndex, source: number, target: number | undefined): void {
  if (target === undefined) index.database.run('DELETE FROM extent WHERE block = ?', source);
  else index.database.run('UPDATE extent SET block = ? WHERE block = ?', target, source);
  index.database.run('DELETE FROM block WHERE id = ?', source);
}
