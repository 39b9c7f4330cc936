/**
 * Bounds a cache to so many entries. A bound by `max` would have the cache make room for all of
 * them at once, which takes longer than everything else about opening a store.
 */
export function atMost(entries: number): {
  readonly maxSize: number;
  readonly sizeCalculation: () => number;
} {
  return { maxSize: entries, sizeCalculation: () => 1 };
}
