import type { ManifestKind } from '../../contract/manifests.ts';
import { deleteAll } from '../../storage/delete-all.ts';
import { listObjects } from '../../storage/listing.ts';
import { headPagesPrefix } from '../format/keys.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import { type HeadTables, isRebuilt } from './compaction.ts';

/**
 * Deletes pages that the catalog does not name: compactions left them that died before they had
 * swapped it. The catalog is swapped first, so that none of them can name these pages any more.
 *
 * @param ageMs of the youngest pages to delete.
 */
export async function sweepPages(
  { catalogs, protocol }: HeadTables,
  kind: ManifestKind,
  ageMs: number,
): Promise<void> {
  const before = await unlessUnreadable(catalogs.read(kind));
  // An audit reports what cannot be read.
  if (before === undefined) return;
  if (isRebuilt(before, protocol.serverClock.earliest())) return;
  const { runs, retired } = before;
  const named = new Set([...runs.flat(), ...retired].map(({ key }) => key));
  const strays: string[] = [];
  for await (const { key, lastModified } of listObjects(protocol, headPagesPrefix(kind))) {
    const age = protocol.serverClock.latest() - lastModified;
    if (!named.has(key) && age >= ageMs) strays.push(key);
  }
  if (strays.length === 0) return;
  if (await catalogs.swap(kind, before, { runs, retired })) await deleteAll(protocol.store, strays);
}
