import { abortOf } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { Remnant } from '../../contract/collection.ts';
import { segmentKey, sidecarKey } from '../format/keys.ts';
import type { Generation, Sidecar } from '../format/sidecar.ts';
import { nothingOf, ReferenceScan, type SegmentReferences } from '../listing/reference-scan.ts';
import { withReferences } from '../listing/referenced-segments.ts';
import { listSegments } from '../listing/segment-listing.ts';
import type { Protocol } from '../tables/protocol.ts';

interface StoredData {
  readonly address: Address;
  readonly generation: Generation;
}

/**
 * Finds what an erasure could not delete: stored data that no manifest needs (rule
 * `report-remnants`). Asks only the manifests, because deleted content stays where a sidecar is
 * wrong: it counts a reference that a deleter has not dropped or died with, it is hot, or it does
 * not know of data that arrived late.
 */
export async function findRemnants(
  protocol: Protocol,
  signal: AbortSignal | undefined,
): Promise<Remnant[]> {
  const suspects = await unneeded(protocol, signal);
  if (suspects.length === 0) return [];
  // A writer announces before it stores, so a second scan shows what became needed since the first
  // one.
  const again = new ReferenceScan(protocol, {
    only: new Set(suspects.map(({ address }) => address)),
  });
  try {
    await again.run({}, signal);
    const found = new Map([...again.inOrder()].map((each) => [each.address, each]));
    const remnants = await mapAll(suspects, async (data) => {
      const references = found.get(data.address) ?? nothingOf(data.address);
      return isNeeded(references, data) ? [] : describe(protocol, again, references, data, signal);
    });
    return [...new Map(remnants.flat().map((remnant) => [remnant.location, remnant])).values()];
  } finally {
    again.close();
  }
}

/** Stored data that no manifest needs. The sidecars show what a damaged manifest needs. */
async function unneeded(
  protocol: Protocol,
  signal: AbortSignal | undefined,
): Promise<StoredData[]> {
  const scan = new ReferenceScan(protocol);
  try {
    await scan.run({}, signal);
    const found: StoredData[] = [];
    const segments = withReferences(listSegments(protocol, abortOf(signal)), scan.inOrder());
    for await (const { listed, references } of segments) {
      const { address, generations } = listed;
      const stored = generations.map((generation) => ({ address, generation }));
      found.push(...stored.filter((data) => !isNeeded(references, data)));
    }
    return found;
  } finally {
    scan.close();
  }
}

/** Whether a manifest references the data, or a writer is about to reference the segment. */
function isNeeded(references: SegmentReferences, { generation }: StoredData): boolean {
  const { committed, announced } = references;
  if (announced.size > 0) return true;
  return [...committed.values()].some(({ gen }) => gen === generation);
}

async function describe(
  protocol: Protocol,
  scan: ReferenceScan,
  references: SegmentReferences,
  { address, generation }: StoredData,
  signal: AbortSignal | undefined,
): Promise<Remnant[]> {
  const key = segmentKey(address, generation);
  if ((await protocol.store.head(key, abortOf(signal))) === undefined) return [];
  let sidecar: Sidecar | undefined;
  try {
    sidecar = await protocol.sidecars.read(address);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return [{ address, location: sidecarKey(address), reason: UNREADABLE }];
  }
  if (sidecar?.gen !== generation) return [{ address, location: key, reason: ORPHANED }];
  if ((sidecar.guards ?? []).length > 0)
    return [{ address, location: sidecarKey(address), reason: HELD }];
  const { refs } = sidecar;
  const gone = new Set([...(await scan.leaked(references, refs)), ...references.dropped]);
  // Every other counted reference belongs to a damaged manifest.
  if (!sidecar.hot && refs.some((token) => !gone.has(token))) return [];
  return [{ address, location: key, reason: FORGOTTEN }];
}

const HELD = 'an audit is at work on this segment: erase again when it has ended';

const UNREADABLE =
  'what references this segment cannot be read: audit with repair, then erase again';

const ORPHANED =
  'nothing leads to this data: an audit with repair deletes it, if no manifest needs it';

const FORGOTTEN =
  'nothing needs this data, and the process that dropped it has not finished or has died: erase ' +
  'again in a minute, ' +
  'and if it is still there, audit with repair first';
