import { abortOf } from '../../../core/abort.ts';
import { mapAhead } from '../../../core/concurrency.ts';
import { listObjects } from '../../storage/listing.ts';
import type { ListedObject } from '../../storage/object-store.ts';
import { GARBAGE_HINTS_PREFIX } from '../format/keys.ts';
import { type GarbageHint, type ReadGarbageHint, readGarbageHint } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import { READ_AHEAD } from './manifest-walk.ts';

const EMPTY: GarbageHint = { segments: [], manifests: [] };

/** A listed hint and its content, which is `undefined` when it cannot be read. */
export interface ListedHint {
  readonly object: ListedObject;
  readonly content: ReadGarbageHint | undefined;
}

/**
 * All hints at garbage. One that is gone is empty: a collection has done what it asks for.
 *
 * @param known hints that were read before, by key: they never change.
 * @param listed the hints, where they are listed already.
 */
export function readGarbageHints(
  protocol: Protocol,
  signal: AbortSignal | undefined,
  {
    known = new Map(),
    listed = listObjects(protocol, GARBAGE_HINTS_PREFIX, abortOf(signal)),
  }: {
    readonly known?: ReadonlyMap<string, ListedHint>;
    readonly listed?: AsyncIterable<ListedObject>;
  } = {},
): AsyncGenerator<ListedHint, void, undefined> {
  return mapAhead(listed, READ_AHEAD, async (object) => {
    const before = known.get(object.key);
    if (before !== undefined) return before;
    const stored = await protocol.store.get(object.key, abortOf(signal));
    const content = stored === undefined ? EMPTY : readGarbageHint(stored.body, object.key);
    return { object, content };
  });
}
