import { LRUCache } from 'lru-cache';
import type { Address } from '../../../core/address.ts';

/** A cache of the segments read last: their canonical bytes. */
export type SegmentCache = LRUCache<Address, Uint8Array> | undefined;

/** @param bytes its largest size; 0: no cache. */
export function segmentCache(bytes: number): SegmentCache {
  if (bytes === 0) return undefined;
  return new LRUCache({ maxSize: bytes, sizeCalculation: ({ length }) => length + 200 });
}
