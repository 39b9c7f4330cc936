/** Runs `work` over all items at once; throws the first failure once all have ended. */
export async function mapAll<Item, Result>(
  items: Iterable<Item>,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const settled = await Promise.allSettled(Array.from(items, work));
  return settled.map((each) => {
    if (each.status === 'rejected') throw each.reason;
    return each.value;
  });
}

/** How far work may run ahead of the reader of its results. */
export interface AheadBounds<Item> {
  /** Most items whose result the reader does not have yet. */
  readonly count: number;
  /** Most of their bytes together; one item alone may have more. Default: no limit. */
  readonly bytes?: number;
  readonly bytesOf?: (item: Item) => number;
}

/**
 * Yields the result of `work` for each item, in the order of the items, while it works on the next
 * ones. An error comes after the results before it. No work is under way when this ends.
 */
export async function* mapAhead<Item, Result>(
  items: AsyncIterable<Item> | Iterable<Item>,
  { count, bytes = Number.POSITIVE_INFINITY, bytesOf = () => 0 }: AheadBounds<Item>,
  work: (item: Item) => Promise<Result> | Result,
): AsyncGenerator<Result, void, undefined> {
  const ahead: { readonly result: Promise<Result>; readonly size: number }[] = [];
  let held = 0;
  let isEnded = false;
  const change = new Change();
  const hasRoom = (size: number) =>
    ahead.length === 0 || (ahead.length < count && held + size <= bytes);
  const begin = async () => {
    for await (const item of items) {
      const size = bytesOf(item);
      while (!isEnded && !hasRoom(size)) await change.next;
      if (isEnded) return;
      const result = (async () => work(item))();
      // A failure is reported where the result is read.
      result.catch(() => {});
      ahead.push({ result, size });
      held += size;
      change.happened();
    }
  };
  const source: { isOpen: boolean; failure?: { readonly error: unknown } } = { isOpen: true };
  const beginning = begin()
    .catch((error: unknown) => {
      source.failure = { error };
    })
    .then(() => {
      source.isOpen = false;
      change.happened();
    });
  try {
    while (ahead.length > 0 || source.isOpen) {
      const [first] = ahead;
      if (first === undefined) {
        await change.next;
        continue;
      }
      yield await first.result;
      ahead.shift();
      held -= first.size;
      change.happened();
    }
    if (source.failure !== undefined) throw source.failure.error;
  } finally {
    isEnded = true;
    change.happened();
    await beginning;
    await Promise.allSettled(ahead.map(({ result }) => result));
  }
}

/** Wakes all who wait for something to change. */
class Change {
  #wake = () => {};
  #next = this.#renew();

  /** Resolves when something has changed. */
  get next(): Promise<void> {
    return this.#next;
  }

  happened(): void {
    this.#wake();
    this.#next = this.#renew();
  }

  #renew(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
