import type { Address } from '../../../core/address.ts';
import { batchesOf } from '../../../core/batches.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { GARBAGE_HINTS_PREFIX } from '../format/keys.ts';
import { type ListedHint, readGarbageHints } from '../listing/hint-listing.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import type { CollectRun } from './collect-run.ts';
import { finishWriter } from './crashed-writers.ts';

/** Hints followed together. */
const WINDOW = 256;

/** All hints at garbage, a window at a time, until the run is over. */
export async function* readHintWindows(
  run: CollectRun,
): AsyncGenerator<ListedHint[], void, undefined> {
  const { protocol, scope, hinted } = run;
  // The walk of a full run takes long.
  if (scope.full) hinted.outdate();
  const listed = hinted.below(GARBAGE_HINTS_PREFIX);
  const hints = readGarbageHints(protocol, scope.signal, { listed });
  for await (const window of batchesOf(hints, { count: WINDOW })) {
    if (scope.isOver()) return;
    yield window;
  }
}

/**
 * Finishes the drops of the manifests that a hint names, where their process died. Returns
 * whether nothing is left to drop.
 */
export async function finishDrops(run: CollectRun, { content }: ListedHint): Promise<boolean> {
  // Only a full run makes up for a hint that cannot be read.
  if (content === undefined) return run.scope.full;
  if (content.isNewer) return false;
  const finished = await mapAll(content.manifests, async (objectKey) => {
    const seen = await unlessUnreadable(run.protocol.manifests.readObject(objectKey));
    // An audit reports the damage; the garbage of other manifests is collected nevertheless.
    if (seen === undefined) return false;
    if (seen.record === undefined || seen.record.dropped.length === 0) return true;
    return finishWriter(run, seen);
  });
  return finished.every(Boolean);
}

/** Every segment that the hints name, each once. */
export function segmentsOf(hints: readonly ListedHint[]): Address[] {
  return [...new Set(hints.flatMap(({ content }) => content?.segments ?? []))];
}
