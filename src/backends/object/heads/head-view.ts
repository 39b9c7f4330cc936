import { mapAll } from '../../../core/concurrency.ts';
import type { ManifestKind } from '../../contract/manifests.ts';
import {
  comparePlaces,
  type HeadVersion,
  type Place,
  type StoredHead,
} from '../format/head-version.ts';
import type { HeadTables } from './compaction.ts';
import { mergeRuns } from './merge-runs.ts';

/** Journals read at once. */
const WINDOW = 64;

/** What pages and journals say of a place. */
export interface Candidate extends Place {
  /** The newest version on pages. */
  readonly version: HeadVersion | undefined;
  /** Heads that journals announce for it; `undefined`: no journal names it. */
  readonly announced: readonly (StoredHead | undefined)[] | undefined;
}

/**
 * Every place that pages and journals name after `after`, in order, in batches.
 *
 * The journals are listed and read first, the catalog after them: what a compaction has taken from
 * a journal that was gone by then is in the catalog (rule `page-before-journal-goes`).
 *
 * @throws `IndexMoved` when a compaction has replaced what it reads; `CORRUPT` and
 *   `UNSUPPORTED_FORMAT` when something cannot be read.
 */
export async function* candidates(
  tables: HeadTables,
  kind: ManifestKind,
  after?: Place,
): AsyncGenerator<Candidate[], void, undefined> {
  const announced = await readJournals(tables, kind, after);
  const { runs } = await tables.catalogs.read(kind);
  let next = 0;
  for await (const batch of mergeRuns(runs, (key) => tables.pages.read(key), after)) {
    const joined: Candidate[] = [];
    for (const version of batch) {
      for (let place = announced[next]; place !== undefined; place = announced[next]) {
        if (comparePlaces(place, version) >= 0) break;
        joined.push(place);
        next++;
      }
      const { id, archived } = version;
      const place = announced[next];
      if (place !== undefined && comparePlaces(place, version) === 0) {
        joined.push({ ...place, version });
        next++;
      } else joined.push({ id, archived, version, announced: undefined });
    }
    yield joined;
  }
  if (next < announced.length) yield announced.slice(next);
}

/** The places that journals name, in order, each once. */
async function readJournals(
  { journals }: HeadTables,
  kind: ManifestKind,
  after: Place | undefined,
): Promise<Candidate[]> {
  const listed = await journals.list(kind);
  const places: (Place & { readonly head: StoredHead | undefined })[] = [];
  for (let start = 0; start < listed.length; start += WINDOW) {
    await mapAll(listed.slice(start, start + WINDOW), async ({ key }) => {
      // What a journal that is gone by now has named is in the catalog, which is read later.
      for (const { id, places: named } of (await journals.read(key)) ?? [])
        for (const { archived, head } of named) places.push({ id, archived, head });
    });
  }
  const joined: (Candidate & { readonly announced: (StoredHead | undefined)[] })[] = [];
  for (const { id, archived, head } of places.sort(comparePlaces)) {
    const place = { id, archived };
    if (after !== undefined && comparePlaces(place, after) <= 0) continue;
    const last = joined.at(-1);
    if (last !== undefined && comparePlaces(last, place) === 0) last.announced.push(head);
    else joined.push({ ...place, version: undefined, announced: [head] });
  }
  return joined;
}
