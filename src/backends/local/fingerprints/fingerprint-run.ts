import { VarveError } from '../../../core/errors.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { FINGERPRINT_BITS, type FingerprintEntry } from '../format/fingerprint.ts';
import { addToFilter, filterBytes, mayContain } from './bloom-filter.ts';
import { encodePage, FingerprintPage, lowerBound } from './fingerprint-page.ts';

/** Bytes of a fence: the first key of a page, big-endian. */
const FENCE_BYTES = FINGERPRINT_BITS / 8;

/** Entries per page: a row about fills a 4 KiB leaf of SQLite without overflow. */
const PAGE_ENTRIES = 480;

/**
 * Runs up to this many entries stay in memory as a whole; of larger ones only the filter and the
 * fences do.
 */
const RESIDENT_ENTRIES = 16 * 1024;

interface RunRow {
  readonly id: number;
  readonly entries: number;
  readonly first_page: number;
  readonly pages: number;
  readonly fences: Buffer;
  readonly filter: Buffer | null;
}

/** An immutable sorted run of entries, stored as pages in the index. */
export class FingerprintRun {
  readonly id: number;
  readonly entries: number;
  readonly #database: IndexDatabase;
  readonly #firstPage: number;
  readonly #pages: number;
  readonly #fences: Float64Array;
  readonly #filter: Buffer | null;
  #resident: FingerprintPage | undefined;

  private constructor(database: IndexDatabase, row: RunRow) {
    this.#database = database;
    this.id = row.id;
    this.entries = row.entries;
    this.#firstPage = row.first_page;
    this.#pages = row.pages;
    this.#fences = Float64Array.from({ length: row.pages }, (_, page) =>
      row.fences.readUIntBE(page * FENCE_BYTES, FENCE_BYTES),
    );
    this.#filter = row.filter;
  }

  static load(database: IndexDatabase, id: number): FingerprintRun {
    const row = database.get<RunRow>(
      'SELECT id, entries, first_page, pages, fences, filter FROM run WHERE id = ?',
      id,
    );
    if (row === undefined)
      throw new VarveError('CORRUPT', `the index names fingerprint run ${id}, which is missing`);
    return new FingerprintRun(database, row);
  }

  /**
   * Stores entries, ascending by key, as a new run.
   *
   * @param most an upper bound of their number.
   */
  static write(
    database: IndexDatabase,
    space: number,
    most: number,
    entries: Iterable<FingerprintEntry>,
  ): FingerprintRun {
    const fences: Buffer[] = [];
    const filter = most > RESIDENT_ENTRIES ? Buffer.alloc(filterBytes(most)) : null;
    let firstPage = 0;
    let written = 0;
    let page: FingerprintEntry[] = [];
    const flush = () => {
      const { lastInsertRowid } = database.run(
        'INSERT INTO run_page (entries) VALUES (?)',
        encodePage(page),
      );
      if (fences.length === 0) firstPage = Number(lastInsertRowid);
      const fence = Buffer.alloc(FENCE_BYTES);
      fence.writeUIntBE((page[0] as FingerprintEntry).key, 0, FENCE_BYTES);
      fences.push(fence);
      written += page.length;
      page = [];
    };
    for (const entry of entries) {
      page.push(entry);
      if (filter !== null) addToFilter(filter, entry.key);
      if (page.length === PAGE_ENTRIES) flush();
    }
    if (page.length > 0) flush();
    const row = {
      entries: written,
      first_page: firstPage,
      pages: fences.length,
      fences: Buffer.concat(fences),
      filter,
    };
    const { lastInsertRowid } = database.run(
      'INSERT INTO run (space, entries, first_page, pages, fences, filter) VALUES (?, ?, ?, ' +
        '?, ?, ?)',
      space,
      row.entries,
      row.first_page,
      row.pages,
      row.fences,
      row.filter,
    );
    return new FingerprintRun(database, { id: Number(lastInsertRowid), ...row });
  }

  /** Appends the ids stored under `key` to `found`. */
  lookup(key: number, found: number[]): void {
    if (this.entries <= RESIDENT_ENTRIES) {
      this.#resident ??= FingerprintPage.join(
        Array.from({ length: this.#pages }, (_, page) => this.#page(page)),
      );
      this.#resident.lookup(key, found);
      return;
    }
    if (this.#filter !== null && !mayContain(this.#filter, key)) return;
    // The first page that can contain the key is the last one whose fence is below it; equal keys
    // may span several pages.
    const first = Math.max(0, lowerBound(this.#fences, key) - 1);
    for (let page = first; page < this.#pages && (this.#fences[page] as number) <= key; page++) {
      this.#page(page).lookup(key, found);
    }
  }

  /** Yields all entries, ascending by key, a page at a time. */
  *scan(): Generator<FingerprintEntry, void, undefined> {
    for (let page = 0; page < this.#pages; page++) {
      const { keys, ids } = this.#page(page);
      for (let at = 0; at < keys.length; at++)
        yield { key: keys[at] as number, id: ids[at] as number };
    }
  }

  remove(): void {
    this.#database.run(
      'DELETE FROM run_page WHERE id BETWEEN ? AND ?',
      this.#firstPage,
      this.#firstPage + this.#pages - 1,
    );
    this.#database.run('DELETE FROM run WHERE id = ?', this.id);
  }

  #page(page: number): FingerprintPage {
    const row = this.#database.get<{ entries: Buffer }>(
      'SELECT entries FROM run_page WHERE id = ?',
      this.#firstPage + page,
    );
    if (row === undefined)
      throw new VarveError('CORRUPT', `page ${page} of fingerprint run ${this.id} is missing`);
    return FingerprintPage.decode(row.entries);
  }
}
