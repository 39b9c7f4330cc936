/** Counts per page, so that memory grows with the ids in use. */
const PAGE = 4096;

/** Counts by record id: four bytes per id on pages in use, none elsewhere. */
export class CountTable {
  readonly #pages = new Map<number, Uint32Array>();

  add(id: number, change: number): void {
    const number = Math.floor(id / PAGE);
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = new Uint32Array(PAGE);
      this.#pages.set(number, page);
    }
    page[id % PAGE] = (page[id % PAGE] as number) + change;
  }

  get(id: number): number {
    return this.#pages.get(Math.floor(id / PAGE))?.[id % PAGE] ?? 0;
  }

  /** Ids with a count, ascending. */
  *ids(): Generator<number, void, undefined> {
    for (const number of [...this.#pages.keys()].sort((a, b) => a - b)) {
      const page = this.#pages.get(number) as Uint32Array;
      for (let at = 0; at < PAGE; at++) if (page[at] !== 0) yield number * PAGE + at;
    }
  }
}
