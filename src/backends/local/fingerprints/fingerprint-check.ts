import { IdSet } from '../../../core/collections/id-set.ts';
import type { FingerprintIndex } from './fingerprint-index.ts';

/** Keys are kept in pages of this many, eight bytes each. */
const PAGE = 4096;

/**
 * Tells which of many ids their fingerprints lead to. Lookups one by one would decode a page of the
 * index each; this reads every page once.
 */
export class FingerprintCheck {
  /** By id, the key plus one; zero where none is expected. */
  readonly #pages = new Map<number, Float64Array>();

  expect(id: number, key: number): void {
    const number = Math.floor(id / PAGE);
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = new Float64Array(PAGE);
      this.#pages.set(number, page);
    }
    page[id % PAGE] = key + 1;
  }

  /** The expected ids that a lookup of their key finds. */
  async found(index: FingerprintIndex, turn: () => Promise<void>): Promise<IdSet> {
    const found = new IdSet();
    let read = 0;
    for (const { key, id } of index.scan()) {
      if (this.#pages.get(Math.floor(id / PAGE))?.[id % PAGE] === key + 1) found.add(id);
      if (++read % PAGE === 0) await turn();
    }
    return found;
  }
}
