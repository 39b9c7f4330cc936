import type { Foundation } from './foundation.ts';
import type { ManifestTable } from './manifest-table.ts';
import type { SidecarTable } from './sidecar-table.ts';

/** What the parts of the protocol share. */
export interface Protocol extends Foundation {
  readonly sidecars: SidecarTable;
  readonly manifests: ManifestTable;
}

/** Runs `work` over all items at once; the first failure is thrown once all have ended. */
export async function forEach<Item, Result>(
  items: Iterable<Item>,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const settled = await Promise.allSettled(Array.from(items, work));
  return settled.map((each) => {
    if (each.status === 'rejected') throw each.reason;
    return each.value;
  });
}
