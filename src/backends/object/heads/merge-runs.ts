import type { PageSummary, Run } from '../format/head-catalog.ts';
import type { HeadPage } from '../format/head-page.ts';
import {
  compareArchived,
  comparePlaces,
  type HeadVersion,
  type Place,
} from '../format/head-version.ts';
import type { ArchivedAt } from '../format/manifest-record.ts';

/** Reads a page by the key of its object. */
export type ReadPage = (key: string) => Promise<HeadPage>;

/** Versions per batch. */
const BATCH = 512;

/** Most pages of one run that are fetched ahead. */
const MOST_AHEAD = 8;

/**
 * Merges runs: yields the newest version of every place, tombstones included, in the order of
 * places, in batches. A page is read when the merge comes to its first place, so the first versions
 * of many runs cost few pages; the longer the merge goes on, the more pages are fetched ahead.
 *
 * @param after skips this place and all before it.
 */
export async function* mergeRuns(
  runs: readonly Run[],
  read: ReadPage,
  after?: Place,
): AsyncGenerator<HeadVersion[], void, undefined> {
  const waiting = new Set<RunCursor>();
  for (const run of runs) {
    const rest = after === undefined ? run : run.filter(({ last }) => isFrom(last, after));
    if (rest.length > 0) waiting.add(new RunCursor(rest, read, after));
  }
  const open: RunCursor[] = [];
  let batch: HeadVersion[] = [];
  let first = firstOf(waiting);
  while (waiting.size > 0 || open.length > 0) {
    const least = leastOf(open);
    if (first !== undefined && (!least || compareArchived(first, least.archived) <= 0)) {
      const bound = least?.archived ?? first;
      const due = [...waiting].filter((each) => compareArchived(each.first, bound) <= 0);
      if (batch.length >= BATCH) {
        yield batch;
        batch = [];
      }
      await Promise.all(due.map((cursor) => cursor.open()));
      for (const cursor of due) {
        if (cursor.current !== undefined || !cursor.hasMore) waiting.delete(cursor);
        if (cursor.current !== undefined) open.push(cursor);
      }
      first = firstOf(waiting);
      continue;
    }
    if (least === undefined) break;
    let newest = least;
    for (let at = open.length - 1; at >= 0; at--) {
      const cursor = open[at] as RunCursor;
      const version = cursor.current as HeadVersion;
      if (comparePlaces(version, least) !== 0) continue;
      if (version.seq > newest.seq) newest = version;
      cursor.advance();
      if (cursor.current !== undefined) continue;
      open.splice(at, 1);
      if (!cursor.hasMore) continue;
      waiting.add(cursor);
      first = firstOf(waiting);
    }
    batch.push(newest);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

function isFrom(last: ArchivedAt, { archived }: Place): boolean {
  return compareArchived(last, archived) >= 0;
}

function leastOf(open: readonly RunCursor[]): HeadVersion | undefined {
  let least: HeadVersion | undefined;
  for (const { current } of open) {
    if (current !== undefined && (least === undefined || comparePlaces(current, least) < 0))
      least = current;
  }
  return least;
}

/** The first place of all next pages; `undefined` when no page is left to read. */
function firstOf(waiting: ReadonlySet<RunCursor>): ArchivedAt | undefined {
  let least: ArchivedAt | undefined;
  for (const { first } of waiting)
    if (least === undefined || compareArchived(first, least) < 0) least = first;
  return least;
}

/** Goes through the pages of a run. */
class RunCursor {
  readonly #pages: Run;
  readonly #read: ReadPage;
  readonly #after: Place | undefined;
  /** Pages that are being fetched, from the next one on. */
  readonly #ahead: Promise<HeadPage>[] = [];
  #next = 0;
  #depth = 0;
  #page: HeadPage | undefined;
  #row = 0;
  /** The version that it has come to; `undefined`: its next page is not read. */
  current: HeadVersion | undefined;

  constructor(pages: Run, read: ReadPage, after: Place | undefined) {
    this.#pages = pages;
    this.#read = read;
    this.#after = after;
  }

  get hasMore(): boolean {
    return this.#next < this.#pages.length;
  }

  /** The first place of the next page. */
  get first(): ArchivedAt {
    return (this.#pages[this.#next] as PageSummary).first;
  }

  /** Reads the next page. */
  async open(): Promise<void> {
    this.#fetch(1);
    const page = this.#ahead.shift() as Promise<HeadPage>;
    this.#next++;
    this.#fetch(this.#depth);
    this.#depth = Math.min(MOST_AHEAD, Math.max(1, this.#depth * 2));
    this.#page = await page;
    this.#row = -1;
    const after = this.#after;
    do this.advance();
    while (
      after !== undefined &&
      this.current !== undefined &&
      comparePlaces(this.current, after) <= 0
    );
  }

  advance(): void {
    this.#row++;
    const page = this.#page as HeadPage;
    this.current = this.#row < page.size ? page.at(this.#row) : undefined;
  }

  #fetch(pages: number): void {
    while (this.#ahead.length < pages) {
      const page = this.#pages[this.#next + this.#ahead.length];
      if (page === undefined) return;
      const fetched = this.#read(page.key);
      // It is awaited when the merge comes to it, or never.
      fetched.catch(() => {});
      this.#ahead.push(fetched);
    }
  }
}
