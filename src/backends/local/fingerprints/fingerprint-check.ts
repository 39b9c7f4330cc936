import { IdSet } from '../../../core/collections/id-set.ts';
import type { FingerprintIndex } from './fingerprint-index.ts';

/** Keys per page, eight bytes each. */
const PAGE = 4096;

/**
 * Checks which of many ids a lookup by fingerprint finds. Separate lookups would each decode a page
 * of the index; this reads every page once.
 */
export class FingerprintCheck {
  /** Key plus one, by id; zero where none is expected. */
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

  /** Returns the expected ids that a lookup of their key finds. */
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
