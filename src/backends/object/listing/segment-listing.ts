import { type AbortOptions, abortOf } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { listObjects } from '../../storage/listing.ts';
import { parseSegmentKey, SEGMENTS_PREFIX } from '../format/keys.ts';
import type { Generation } from '../format/sidecar.ts';
import type { Protocol } from '../tables/protocol.ts';

/** What a listing shows of one segment. */
export interface ListedSegment {
  readonly address: Address;
  readonly hasSidecar: boolean;
  readonly generations: readonly Generation[];
}

/** What to list; by default everything. */
export interface ListingBounds extends AbortOptions {
  /** Skips segments with a lower address. */
  readonly from?: string;
  /** Skips segments from this address on. */
  readonly until?: Address | undefined;
}

/** Every segment that has a sidecar or data, in the order of addresses. */
export async function* listSegments(
  protocol: Protocol,
  { from = '', until, signal }: ListingBounds = {},
): AsyncGenerator<ListedSegment, void, undefined> {
  let last: { address: Address; hasSidecar: boolean; generations: Generation[] } | undefined;
  for await (const { key } of listObjects(protocol, SEGMENTS_PREFIX, {
    ...abortOf(signal),
    after: `${SEGMENTS_PREFIX}${from}`,
  })) {
    const parsed = parseSegmentKey(key);
    if (parsed === undefined) continue;
    if (until !== undefined && parsed.address >= until) break;
    if (parsed.address !== last?.address) {
      if (last !== undefined) yield last;
      last = { address: parsed.address, hasSidecar: false, generations: [] };
    }
    if (parsed.generation === undefined) last.hasSidecar = true;
    else last.generations.push(parsed.generation);
  }
  if (last !== undefined) yield last;
}
