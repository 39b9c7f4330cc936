import type { AbortOptions } from '../../core/abort.ts';
import { slicesOf } from '../../core/batches.ts';
import { MAX_DELETE_KEYS } from './object-limits.ts';
import type { ObjectStore } from './object-store.ts';

/** Deletes any number of objects, in as many requests as that takes. It may be repeated. */
export async function deleteAll(
  store: Pick<ObjectStore, 'delete'>,
  keys: readonly string[],
  options: AbortOptions = {},
): Promise<void> {
  for (const part of slicesOf(keys, MAX_DELETE_KEYS)) await store.delete(part, options);
}
