import { abortOf } from '../../../core/abort.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { MANIFEST_KINDS } from '../../contract/manifests.ts';
import { deleteAll } from '../../storage/delete-all.ts';
import { isStale, leftBehind, reap } from '../commit/reap.ts';
import { manifestObjectKey, WRITER_HINTS_PREFIX } from '../format/keys.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import { withPages } from '../tables/references.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import type { CollectRun } from './collect-run.ts';

/** A writer that has not renewed its mark for this long, in ms, has ended, or is idle. */
const STALE_WRITER_MS = 15 * 60 * 1000;

/**
 * Finishes what writers began before they died. An everyday run reads all manifests' states only
 * where the mark of a writer is old; a full run always.
 */
export async function finishCrashedWriters(run: CollectRun): Promise<void> {
  const { protocol, scope, tally } = run;
  const marks = await listStaleMarks(run);
  // Where writers keep journals, these name what they may have left.
  const isNeeded = marks.length > 0 || (scope.full && run.heads.state === 'none');
  if (!isNeeded || scope.isOver()) return;
  let isAllFinished = true;
  for (const kind of MANIFEST_KINDS) {
    const { unsettled, unreadable } = await run.index.list(kind, abortOf(scope.signal));
    if (unreadable.length > 0) isAllFinished = false;
    const finished = await mapAll(unsettled, async (seen) => {
      if (seen.record === undefined || run.foreseen.hasTouched(seen.record.key)) return true;
      const isOurs = scope.hasObject(manifestObjectKey(seen.record.key));
      if (!isOurs || !isStale(protocol, seen)) return false;
      tally.abandoned++;
      return finishWriter(run, seen);
    });
    isAllFinished = finished.every(Boolean) && isAllFinished;
  }
  if (isAllFinished && !scope.dryRun) await deleteAll(protocol.store, marks);
}

/**
 * Fences attempts without a heartbeat, and drops what they took. Returns whether nothing is
 * left to do for this manifest; a dry run only notes the drops, and returns `false`.
 */
export async function finishWriter(run: CollectRun, seen: SeenRecord): Promise<boolean> {
  const { protocol, taker, hints, foreseen, hinted } = run;
  hinted.outdate();
  if (!run.scope.dryRun) return reap(protocol, taker, hints, seen);
  const { record } = seen;
  // An object that a run would have written by now is not stale any more.
  if (record !== undefined && !foreseen.hasTouched(record.key)) {
    const left = leftBehind(protocol, record, seen);
    if (left !== undefined)
      foreseen.add(record.key, [
        ...left.dropped,
        ...((await unlessUnreadable(
          withPages(protocol, manifestObjectKey(record.key), left.dropped),
        )) ?? []),
      ]);
  }
  return false;
}

/** The keys of marks that their writers do not renew any more. */
async function listStaleMarks({ protocol, hinted }: CollectRun): Promise<string[]> {
  const marks: string[] = [];
  for await (const { key, lastModified } of hinted.below(WRITER_HINTS_PREFIX)) {
    if (protocol.serverClock.earliest() - lastModified > STALE_WRITER_MS) marks.push(key);
  }
  return marks;
}
