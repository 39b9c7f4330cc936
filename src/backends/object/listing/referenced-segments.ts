import type { Address } from '../../../core/address.ts';
import { nothingOf, type SegmentReferences } from './reference-scan.ts';
import type { ListedSegment } from './segment-listing.ts';

/** A segment that is listed, or lost, and what the manifests say of it. */
export interface ReferencedSegment {
  readonly listed: ListedSegment;
  readonly references: SegmentReferences;
}

/**
 * Each segment that is listed, with what the manifests say of it, and each that committed content
 * references and that is not listed at all. Both come in the order of addresses.
 */
export async function* withReferences(
  listed: AsyncIterable<ListedSegment>,
  references: Iterator<SegmentReferences>,
): AsyncGenerator<ReferencedSegment, void, undefined> {
  let named = references.next();
  const lostBefore = function* (address?: Address): Generator<ReferencedSegment> {
    for (; !named.done; named = references.next()) {
      if (address !== undefined && named.value.address >= address) return;
      if (named.value.committed.size > 0) yield lost(named.value);
    }
  };
  for await (const segment of listed) {
    const { address } = segment;
    yield* lostBefore(address);
    if (named.done || named.value.address !== address) {
      yield { listed: segment, references: nothingOf(address) };
      continue;
    }
    yield { listed: segment, references: named.value };
    named = references.next();
  }
  yield* lostBefore();
}

function lost(references: SegmentReferences): ReferencedSegment {
  const { address } = references;
  return { listed: { address, hasSidecar: false, generations: [] }, references };
}
