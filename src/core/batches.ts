/** When a batch is full: at this many items, or at this many bytes. */
export interface BatchBounds<Item> {
  /** Default: no limit. */
  readonly count?: number;
  /** Default: no limit. */
  readonly bytes?: number;
  readonly bytesOf?: (item: Item) => number;
}

/**
 * Collects items as they come and yields them in batches, so that each batch can be worked on at
 * once. When `items` throws, the items of the unfinished batch are lost.
 */
export async function* batchesOf<Item>(
  items: AsyncIterable<Item> | Iterable<Item>,
  {
    count = Number.POSITIVE_INFINITY,
    bytes = Number.POSITIVE_INFINITY,
    bytesOf = () => 0,
  }: BatchBounds<Item>,
): AsyncGenerator<Item[], void, undefined> {
  let batch: Item[] = [];
  let size = 0;
  for await (const item of items) {
    batch.push(item);
    size += bytesOf(item);
    if (batch.length < count && size < bytes) continue;
    yield batch;
    batch = [];
    size = 0;
  }
  if (batch.length > 0) yield batch;
}

/** Yields a list in slices of `size` items; the last one may have fewer. */
export function* slicesOf<Item>(
  items: readonly Item[],
  size: number,
): Generator<Item[], void, undefined> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
