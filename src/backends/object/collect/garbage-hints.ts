import { abortOf } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { batchesOf } from '../../../core/batches.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { listObjects } from '../../storage/listing.ts';
import type { ListedObject } from '../../storage/object-store.ts';
import { GARBAGE_HINTS_PREFIX } from '../format/keys.ts';
import { type GarbageHint, type ReadGarbageHint, readGarbageHint } from '../tables/hints.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import type { CollectRun } from './collect-run.ts';
import { finishWriter } from './crashed-writers.ts';

/** Hints read together. */
const WINDOW = 64;

const EMPTY: GarbageHint = { segments: [], manifests: [] };

/** A listed hint and its content, which is `undefined` when it cannot be read. */
export interface ListedHint {
  readonly object: ListedObject;
  readonly content: ReadGarbageHint | undefined;
}

/** All hints at garbage, a window at a time, until the run is over. */
export async function* readHintWindows(
  run: CollectRun,
): AsyncGenerator<ListedHint[], void, undefined> {
  const { protocol, scope } = run;
  const listed = listObjects(protocol, GARBAGE_HINTS_PREFIX, abortOf(scope.signal));
  for await (const window of batchesOf(listed, { count: WINDOW })) {
    if (scope.isOver()) return;
    yield await readHints(run, window);
  }
}

function readHints(run: CollectRun, objects: readonly ListedObject[]): Promise<ListedHint[]> {
  const { protocol, scope } = run;
  return mapAll(objects, async (object) => {
    const { key } = object;
    const stored = await protocol.store.get(key, abortOf(scope.signal));
    // When it is gone, another run has done what it asks for.
    return { object, content: stored === undefined ? EMPTY : readGarbageHint(stored.body, key) };
  });
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
