import { VarveError } from '../../../core/errors.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { findStore } from '../tables/descriptor.ts';

/**
 * @param identity of the store that was opened; see `Backend.identity`.
 * @throws `NOT_FOUND` when it is gone, or another was made in its place.
 */
export async function assertSame(store: ObjectStore, identity: string | undefined): Promise<void> {
  const found = await findStore(store);
  if (identity === undefined || found?.descriptor.created === identity) return;
  const now =
    found === undefined ? 'there is no store any more' : 'another store was made in its place';
  throw new VarveError('NOT_FOUND', `${store.location}: ${now}`);
}
