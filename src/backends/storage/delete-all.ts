import type { AbortOptions } from '../../core/abort.ts';
import { MAX_DELETE_KEYS } from './object-limits.ts';
import type { ObjectStore } from './object-store.ts';

/** Deletes any number of objects, in as many requests as that takes. It may be repeated. */
export async function deleteAll(
  store: Pick<ObjectStore, 'delete'>,
  keys: readonly string[],
  options: AbortOptions = {},
): Promise<void> {
  for (let start = 0; start < keys.length; start += MAX_DELETE_KEYS) {
    await store.delete(keys.slice(start, start + MAX_DELETE_KEYS), options);
  }
}
