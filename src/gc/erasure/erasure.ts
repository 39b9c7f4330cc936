/**
 * Erasure deletes conversations and then makes sure that no byte of them is left in the store's
 * files. What other manifests *share* with them stays, and is listed. A *remnant* is what could not
 * be erased.
 */
import type { Backend } from '../../backends/contract/backend.ts';
import type { CollectReport, Remnant } from '../../backends/contract/collection.ts';
import { listOf } from '../../core/arguments.ts';
import { isVarveError, type VarveError } from '../../core/errors.ts';
import { checkId } from '../../manifest/content/record.ts';
import type { Conversations } from '../../manifest/conversations/conversations.ts';
import {
  ERASURE_OPTIONS,
  type ErasureOptions,
  type GarbageCollection,
} from '../garbage-collection.ts';
import { type Contents, contentsOf } from './contents.ts';
import { findShared, type RemainingSegment } from './shared-segments.ts';

/** What an erasure of conversations deleted, and what is left. */
export interface ErasureReport {
  /** Ids of the conversations that were deleted. */
  readonly deleted: readonly string[];
  /** Ids without a conversation; what was deleted earlier is erased all the same. */
  readonly absent: readonly string[];
  /** Conversations that a hold keeps from being deleted. */
  readonly held: readonly { readonly id: string; readonly error: VarveError }[];
  /** Segments that they share with what stays, and that therefore are still stored. */
  readonly shared: readonly RemainingSegment[];
  /**
   * The report of the collection; its `remnants` are what could not be erased of these
   * conversations. When some of them were deleted earlier, or could not be read, their content is
   * unknown: then the remnants are everything left in the store.
   */
  readonly collection: CollectReport;
}

/** What an erasure works on. */
export interface Erasable {
  readonly backend: Backend;
  readonly conversations: Conversations;
  readonly gc: GarbageCollection;
}

/** Erases conversations: see `Store.eraseConversations`. */
export async function eraseConversations(
  { backend, conversations, gc }: Erasable,
  ids: Iterable<string>,
  options?: ErasureOptions,
): Promise<ErasureReport> {
  const given = ERASURE_OPTIONS.read('eraseConversations', options);
  const abort = { signal: given.signal };
  const wanted = [...new Set(listOf('ids to erase', ids, checkId))];
  const keys = wanted.map((id) => ({ kind: 'conversation', id }) as const);
  const contents = await contentsOf(backend, keys, abort);
  const held = new Map<string, VarveError>();
  const onFailure = (id: string, error: VarveError) => {
    if (!isVarveError(error, 'HELD')) throw error;
    held.set(id, error);
  };
  const deleted = await conversations.deleteMany(wanted, { ...abort, onFailure });
  const collection = await gc.erase(given);
  const erased = wanted.filter((id) => !held.has(id));
  const remnants = remnantsOf(collection, contents, erased);
  const shared = await findShared(backend, contents.segments, abort);
  const known = new Set([...deleted, ...held.keys()]);
  return {
    deleted,
    absent: wanted.filter((id) => !known.has(id)),
    held: [...held].map(([id, error]) => ({ id, error })),
    shared,
    collection: { ...collection, ...(remnants && { remnants }) },
  };
}

/** The remnants of these contents; all remnants of the store when some contents are unknown. */
function remnantsOf(
  { remnants }: CollectReport,
  { addresses, ids }: Contents,
  erased: readonly string[],
): readonly Remnant[] | undefined {
  if (!erased.every((id) => ids.has(id))) return remnants;
  return remnants?.filter(({ address }) => address === undefined || addresses.has(address));
}
