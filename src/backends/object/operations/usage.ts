import { type AbortOptions, abortOf } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import type { ManifestKind } from '../../contract/manifests.ts';
import type { Usage } from '../../contract/usage.ts';
import { listPages } from '../../storage/listing.ts';
import { MANIFESTS_PREFIX, parseSegmentKey } from '../format/keys.ts';
import { parseGeneration } from '../format/sidecar.ts';
import type { ManifestLists } from '../heads/manifest-lists.ts';
import { readGarbageHints } from '../listing/hint-listing.ts';
import type { Protocol } from '../tables/protocol.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';

/** Computes usage from listings and hints: reads no manifests, and only the sidecars of garbage. */
export async function usageOf(
  protocol: Protocol,
  lists: ManifestLists,
  { signal }: AbortOptions,
): Promise<Usage> {
  const abort = abortOf(signal);
  const ofKind = async (kind: ManifestKind) => {
    let count = 0;
    let logicalBytes = 0;
    for await (const { head } of lists.placed(kind)) {
      count++;
      logicalBytes += head.logicalBytes;
    }
    return { count, logicalBytes };
  };
  const [conversation, blob, pin] = await Promise.all([
    ofKind('conversation'),
    ofKind('blob'),
    ofKind('pin'),
  ]);
  let segments = 0;
  let segmentBytes = 0;
  let storedBytes = 0;
  let indexBytes = 0;
  for await (const page of listPages(protocol, '', abort)) {
    for (const { key, size } of page) {
      storedBytes += size;
      const segment = parseSegmentKey(key);
      if (segment?.generation !== undefined) {
        segments++;
        segmentBytes += parseGeneration(segment.generation).length;
      } else if (!key.startsWith(MANIFESTS_PREFIX)) indexBytes += size;
    }
  }
  const garbage = await garbageOf(protocol, abort);
  const manifests = { conversation, blob, pin };
  return { manifests, segments, segmentBytes, storedBytes, indexBytes, ...garbage };
}

/** Of the segments that hints name, those that nothing references. */
async function garbageOf(
  protocol: Protocol,
  abort: AbortOptions,
): Promise<Pick<Usage, 'garbageSegments' | 'garbageBytes'>> {
  const hinted = new Set<Address>();
  for await (const { content } of readGarbageHints(protocol, abort.signal))
    for (const address of content?.segments ?? []) hinted.add(address);
  const lengths = await mapAll(hinted, async (address) => {
    const sidecar = await unlessUnreadable(protocol.sidecars.read(address));
    if (sidecar === undefined || sidecar.refs.length > 0 || sidecar.hot || sidecar.state === 'gone')
      return undefined;
    return parseGeneration(sidecar.gen).length;
  });
  const garbage = lengths.filter((length) => length !== undefined);
  return {
    garbageSegments: garbage.length,
    garbageBytes: garbage.reduce((sum, length) => sum + length, 0),
  };
}
