import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import { toVarveError } from '../../../core/system/system-error.ts';
import { PackVanished } from '../files/pack-files.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { LocalLifecycle } from './local-lifecycle.ts';

/**
 * A lookup that met a vanished pack is made again in a new snapshot, at most this often in a row.
 */
const SNAPSHOT_ATTEMPTS = 10;

/** Items read in one snapshot, before other work gets its turn. */
export const TURN_ITEMS = 64;

/** After this time in ms, other work gets its turn in any case. */
const TURN_MS = 20;

/** Reads of an open store: each sees the index as it is at one moment. */
export class Snapshots {
  readonly #index: LocalIndex;
  readonly #lifecycle: LocalLifecycle;

  constructor(index: LocalIndex, lifecycle: LocalLifecycle) {
    this.#index = index;
    this.#lifecycle = lifecycle;
  }

  /**
   * Runs `read` in one snapshot of the index; again in a new one when a pack was rewritten
   * meanwhile.
   */
  take<Result>(read: (index: LocalIndex) => Result): Result {
    this.#lifecycle.assertOpen();
    let vanished: number | undefined;
    for (let attempt = 0; ; attempt++) {
      try {
        return this.#index.database.snapshot(() => {
          this.#index.refresh();
          return read(this.#index);
        });
      } catch (cause) {
        if (!(cause instanceof PackVanished))
          throw toVarveError(cause, `reading the store at ${this.#lifecycle.root}`);
        if (cause.pack === vanished || attempt === SNAPSHOT_ATTEMPTS) throw cause;
        vanished = cause.pack;
      }
    }
  }

  /** Maps items in snapshots of a few each, so that a long request does not hold up others. */
  async each<Item, Result>(
    items: readonly Item[],
    signal: AbortSignal | undefined,
    map: (index: LocalIndex, item: Item) => Result,
  ): Promise<Result[]> {
    const results: Result[] = [];
    do {
      if (results.length > 0) await nextTurn();
      throwIfAborted(signal);
      results.push(...this.take((index) => mapTurn(index, items, results.length, map)));
    } while (results.length < items.length);
    return results;
  }

  /** Yields the items of one page after another, as long as the store is open. */
  async *pages<Item, Cursor>(
    signal: AbortSignal | undefined,
    page: (index: LocalIndex, cursor: Cursor | undefined) => Page<Item, Cursor>,
  ): AsyncGenerator<Item, void, undefined> {
    let cursor: Cursor | undefined;
    for (;;) {
      throwIfAborted(signal);
      const { items, next } = this.take((index) => page(index, cursor));
      for (const item of items) {
        this.#lifecycle.assertOpen();
        yield item;
      }
      if (next === undefined) return;
      cursor = next;
      await nextTurn();
    }
  }
}

/** Maps the items of one turn, from the one at `start` on. */
function mapTurn<Item, Result>(
  index: LocalIndex,
  items: readonly Item[],
  start: number,
  map: (index: LocalIndex, item: Item) => Result,
): Result[] {
  const end = performance.now() + TURN_MS;
  const results: Result[] = [];
  for (const item of items.slice(start, start + TURN_ITEMS)) {
    results.push(map(index, item));
    if (performance.now() > end) break;
  }
  return results;
}

/** A part of a listing; `next` is where the next one begins, `undefined` at the end. */
export interface Page<Item, Cursor> {
  readonly items: readonly Item[];
  readonly next: Cursor | undefined;
}
