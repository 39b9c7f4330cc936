/**
 * Limits a cache to a number of entries. With `max` instead, the cache would allocate room for all
 * of them at once, which takes longer than everything else about opening a store.
 */
export function atMost(entries: number): {
  readonly maxSize: number;
  readonly sizeCalculation: () => number;
} {
  return { maxSize: entries, sizeCalculation: () => 1 };
}
