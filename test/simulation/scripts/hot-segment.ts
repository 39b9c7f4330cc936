import type { ManifestKey } from '../../../src/backends/contract/manifests.ts';
import { SEGMENTS } from '../checks/tracked-writes.ts';
import type { Client } from '../simulator/client.ts';
import type { Script } from './script.ts';

/** The segment that becomes hot. */
export const SEGMENT = SEGMENTS.slice(0, 1);

/** So many manifests that a segment that they share becomes hot. */
function pinsOf(group: string): readonly ManifestKey[] {
  return ['1', '2', '3', '4', '5'].map((number) => ({ kind: 'pin', id: `${group}${number}` }));
}

/** Makes the segment hot by pins of that group. */
export async function heat({ simulation }: Script, client: Client, group: string): Promise<void> {
  for (const key of pinsOf(group))
    await client.commit([simulation.writes.put(key, 'replace', [SEGMENT])]);
}

/** Deletes the pins of a group; the segment stays hot. */
export function unpin({ simulation }: Script, client: Client, group: string): Promise<void> {
  return client.commit(pinsOf(group).map((key) => simulation.writes.delete(key)));
}
