import { setTimeout as sleep } from 'node:timers/promises';
import { slicesOf } from '../../../core/batches.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { WriteOutcome } from '../../contract/manifests.ts';
import type { CommitQueue } from '../commit/commit-queue.ts';
import type { LocalDelete, LocalWrite } from '../commit/local-write.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { LocalKey } from '../tables/manifest-table.ts';
import type { Snapshots } from './snapshots.ts';

/** Deletes in a commit. */
const SLICE = 256;

/** Up to this number, one commit does it without a look before. */
const FEW = 8;

/** Pause between two commits, in ms: other processes look for the lock every 25 ms on average. */
const PAUSE_MS = 10;

/** A delete, and where its manifest is. */
interface Placed {
  /** Which of the deletes. */
  readonly at: number;
  /** 0: there is no manifest. */
  readonly row: number;
  /** Its first body; 0 if it has none. */
  readonly body: number;
}

/** Whether these are deletes, and more than a few. */
export function isBulkDelete(writes: readonly LocalWrite[]): writes is readonly LocalDelete[] {
  return writes.length > FEW && writes.every(({ operation }) => operation === 'delete');
}

/**
 * Deletes many manifests: in the reverse order of their bodies, so that each block is read once,
 * some hundreds in a commit. What takes time, reading what the bodies reference, happens before the
 * commit, so that the lock is held for a short time, and free in between.
 */
export async function deleteInBulk(
  snapshots: Snapshots,
  queue: CommitQueue,
  writes: readonly LocalDelete[],
  signal: AbortSignal | undefined,
): Promise<WriteOutcome[]> {
  const numbers = writes.map((_, at) => at);
  const placed = await snapshots.each(numbers, signal, ({ manifests }, at): Placed => {
    const row = manifests.find((writes[at] as LocalDelete).key);
    return { at, row: row?.id ?? 0, body: (row && manifests.firstBody(row)) ?? 0 };
  });
  // From the last to the first: a block is decoded up to the last body that is asked for, once.
  // Deletes of one manifest stay in their order.
  placed.sort((a, b) => b.body - a.body || a.at - b.at);
  const outcomes = new Array<WriteOutcome>(writes.length);
  for (const [number, slice] of [...slicesOf(placed, SLICE)].entries()) {
    if (number > 0) await sleep(PAUSE_MS);
    const deletes = slice.map(({ at }) => writes[at] as LocalDelete);
    await snapshots.each(slice, signal, (index, { at, row }) =>
      readReferences(index, row, (writes[at] as LocalDelete).key),
    );
    const done = await queue.commit(deletes, signal);
    slice.forEach(({ at }, which) => {
      outcomes[at] = done[which] as WriteOutcome;
    });
  }
  return outcomes;
}

/** Reads what a manifest references, so that its delete finds that in memory. */
function readReferences(index: LocalIndex, id: number, key: LocalKey): void {
  const row = index.manifests.at(id);
  if (row === undefined) return;
  for (const body of index.manifests.bodies(row)) {
    try {
      index.references(body, key);
    } catch (error) {
      // The delete meets it again, and decides.
      if (!isUnreadable(error)) throw error;
    }
  }
}
