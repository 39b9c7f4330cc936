import { deleteAll } from './delete-all.ts';
import { listPages, type ObservedStore } from './listing.ts';
import type { ListedObject } from './object-store.ts';

/** Below it are only objects that a service is tried with. */
export const PROBE_PREFIX = 'probe/';

/** No probe takes so long, in ms. */
const STALE_PROBE_MS = 60 * 60 * 1000;

/** What probes left that were cut off long ago, by the server's time. */
export function probeRemains(listed: readonly ListedObject[], now: number): string[] {
  return listed
    .filter(({ lastModified }) => now - lastModified > STALE_PROBE_MS)
    .map(({ key }) => key);
}

/** Deletes it. */
export async function removeProbeRemains({ store, serverClock }: ObservedStore): Promise<void> {
  for await (const page of listPages({ store, serverClock }, PROBE_PREFIX)) {
    await deleteAll(store, probeRemains(page, serverClock.earliest()));
  }
}
