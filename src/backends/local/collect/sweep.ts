import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import { slicesOf } from '../../../core/batches.ts';
import type { CollectOptions, CollectShare } from '../../contract/collection.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { SEGMENTS, type Space } from '../format/schema.ts';
import { DeadBytes } from '../tables/dead-bytes.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { CollectScope } from './collect-scope.ts';

/** Records condemned in one transaction. */
const BATCH = 5000;

/** Records per list: sorted by id, so that each block's directory is read once or twice. */
const LISTED = 50_000;

export interface Garbage {
  readonly space: Space;
  readonly record: number;
  /** When it lost its last reference, in ms since the epoch. */
  readonly since: number;
}

/**
 * Records that nothing has referenced since `cutoff`, at most {@link LISTED} of them, in the order
 * of ids.
 */
function listDue({ index }: MaintenanceContext, cutoff: number, scope: CollectScope): Garbage[] {
  const condition = scope.recordCondition('record');
  return index.database
    .all<Garbage>(
      'SELECT space, record, since FROM state WHERE refs = 0 AND since <= ? AND ' +
        `${condition} LIMIT ${LISTED}`,
      cutoff,
    )
    .sort((a, b) => a.space - b.space || a.record - b.record);
}

/**
 * Condemns records that nothing has referenced since `cutoff`. After the commit of such a
 * transaction nobody finds, counts or reads them; the epoch announces it to the caches of all
 * processes.
 *
 * @returns the segments among them.
 */
export async function sweep(
  context: MaintenanceContext,
  cutoff: number,
  scope: CollectScope,
  { signal, onProgress }: CollectOptions,
): Promise<CollectShare> {
  const { index } = context;
  const condition = scope.recordCondition('record');
  const total =
    index.database.value<number>(
      `SELECT count(*) FROM state WHERE refs = 0 AND since <= ? AND ${condition}`,
      cutoff,
    ) ?? 0;
  const swept = { count: 0, bytes: 0 };
  for (let done = 0; ; ) {
    const due = listDue(context, cutoff, scope);
    for (const batch of slicesOf(due, BATCH)) {
      throwIfAborted(signal);
      if (scope.isOver) return swept;
      const { count, bytes } = await index.database.write(
        () => condemn(index, batch, cutoff),
        signal,
      );
      swept.count += count;
      swept.bytes += bytes;
      done += batch.length;
      onProgress?.({ phase: 'sweep', done, total: Math.max(done, total) });
      await nextTurn();
    }
    if (due.length < LISTED) return swept;
  }
}

/** Marks the records that are still garbage as swept, and their bytes in their blocks as dead. */
function condemn(index: LocalIndex, batch: readonly Garbage[], cutoff: number): CollectShare {
  index.refresh();
  const dead = new DeadBytes();
  const swept = { count: 0, bytes: 0 };
  for (const { space, record } of batch) {
    if (!index.ledger.sweep(space, record, cutoff)) continue;
    const length = dead.add(index, space, record);
    if (space !== SEGMENTS) continue;
    if (index.damaged.has(record))
      index.database.run('DELETE FROM damage WHERE record = ?', record);
    swept.count++;
    swept.bytes += length;
  }
  for (const [block, bytes] of dead.byBlock)
    index.database.run('UPDATE block SET dead = dead + ? WHERE id = ?', bytes, block);
  index.bumpEpoch();
  return swept;
}

/** All garbage of a share, a page at a time in the order of ids. Read it in one snapshot. */
export function* listGarbage(
  index: LocalIndex,
  scope: CollectScope,
): Generator<Garbage, void, undefined> {
  for (let last: Pick<Garbage, 'space' | 'record'> = { space: SEGMENTS, record: -1 }; ; ) {
    const page = index.database.all<Garbage>(
      `SELECT space, record, since FROM state WHERE refs = 0 AND (space, record) > (?, ?)
       AND ${scope.recordCondition('record')} ORDER BY space, record LIMIT ${LISTED}`,
      last.space,
      last.record,
    );
    yield* page;
    const end = page.at(-1);
    if (end === undefined || page.length < LISTED) return;
    last = end;
  }
}

/** Unreferenced segments of a share that are still within the grace. */
export function surveyWaiting(
  index: LocalIndex,
  cutoff: number,
  scope: CollectScope,
): CollectShare {
  const waiting = { count: 0, bytes: 0 };
  for (const { space, record, since } of listGarbage(index, scope)) {
    if (space !== SEGMENTS || since <= cutoff) continue;
    waiting.count++;
    waiting.bytes += index.records.length(SEGMENTS, record);
  }
  return waiting;
}
