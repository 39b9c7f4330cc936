import type { ListFilter, ManifestKind } from '../../contract/manifests.ts';
import { KIND_NUMBERS } from '../format/schema.ts';
import { type Candidates, findCandidates, type Place, placeOrder } from './list-candidates.ts';
import { type ListConditions, listConditions } from './list-conditions.ts';
import type { LocalIndex } from './local-index.ts';
import type { ManifestRow } from './manifest-table.ts';

/**
 * How a list is read: page by page, each in a snapshot of its own, and no page costs more the
 * larger the store is.
 *
 * - A **walk** follows the table, or the index by time, a *window* of rows at a time. Each page
 *   goes on where the last one ended.
 * - Where few rows of a window pass the filter, the rest of the list comes from **candidates**, if
 *   there are few of them: see list-candidates.ts.
 */

/** Rows of a page: enough to be fast, few enough to let others work. */
const PAGE_ROWS = 500;

/** Rows that a page looks at. */
const WINDOW_ROWS = 4096;

/** A window with fewer hits than this is sparse. */
const DENSE_ROWS = WINDOW_ROWS / 8;

/** Before and after all ids and times. */
const FIRST = Number.MIN_SAFE_INTEGER;
const LAST = Number.MAX_SAFE_INTEGER;

/** Where a page of a listing ends, and the next begins. */
export interface ListCursor extends Place {
  /** What is left of the list, once candidates are known. */
  readonly candidates?: Candidates | undefined;
  /** Candidates were looked for, and are too many. */
  readonly isDense?: boolean | undefined;
}

/** Rows of a listing; `next` is where the next page begins, `undefined` at the end. */
export interface ListPage {
  readonly rows: readonly ManifestRow[];
  readonly next: ListCursor | undefined;
}

/** What a walk has read. */
interface Step {
  readonly rows: readonly ManifestRow[];
  /** The last place that was looked at; `undefined` at the end. */
  readonly next: Place | undefined;
}

/** A list under way. */
interface Listing {
  readonly index: LocalIndex;
  readonly kind: ManifestKind;
  readonly filter: ListFilter;
  readonly conditions: ListConditions;
}

/** The next rows of a listing after `cursor`. */
export function listPage(
  index: LocalIndex,
  kind: ManifestKind,
  filter: ListFilter,
  cursor: ListCursor | undefined,
): ListPage {
  const conditions = listConditions(index, filter);
  if (conditions === undefined) return { rows: [], next: undefined };
  const listing = { index, kind, filter, conditions };
  const order = filter.order ?? 'archived';
  if (cursor?.candidates !== undefined) return readCandidates(listing, cursor.candidates);
  const { rows, next } =
    order === 'archived'
      ? walkArchived(listing, cursor?.id ?? 0)
      : walkByTime(listing, order, cursor ?? startOf(order));
  if (next === undefined || rows.length === PAGE_ROWS || rows.length >= DENSE_ROWS)
    return { rows, next: next && { ...next, isDense: cursor?.isDense } };
  if (cursor?.isDense === true) return { rows, next: { ...next, isDense: true } };
  const found = findCandidates(index, kind, filter, conditions);
  if (found === undefined) return { rows, next: { ...next, isDense: true } };
  const isAfter = placeOrder(order);
  const places = found.filter((place) => isAfter(place, next) > 0).sort(isAfter);
  return { rows, next: { ...next, candidates: { ids: places.map(({ id }) => id), at: 0 } } };
}

/** Rows of candidates, as far as they are still what they were. */
function readCandidates({ index, kind, conditions }: Listing, { ids, at }: Candidates): ListPage {
  const rows = ids.slice(at, at + PAGE_ROWS).flatMap((id) => {
    const row = index.database.get<ManifestRow>(
      `SELECT * FROM manifest WHERE id = ? AND +kind = ? ${conditions.sql}`,
      id,
      KIND_NUMBERS[kind],
      ...conditions.parameters,
    );
    return row ?? [];
  });
  const next = at + PAGE_ROWS;
  if (next >= ids.length) return { rows, next: undefined };
  return { rows, next: { id: 0, created: 0, candidates: { ids, at: next } } };
}

/** Follows the table; what is not a conversation has an index of its own. */
function walkArchived({ index, kind, conditions }: Listing, after: number): Step {
  const { database } = index;
  const number = KIND_NUMBERS[kind];
  // The literal makes the partial index usable; the plus keeps SQLite from sorting by time.
  const isOther = kind !== 'conversation';
  const ofKind = isOther ? 'kind = ? AND kind <> 0' : '+kind = ?';
  const end = isOther
    ? database.value<number>(
        `SELECT id FROM manifest WHERE kind = ? AND kind <> 0 AND id > ? ORDER BY id LIMIT 1 OFFSET ${WINDOW_ROWS - 1}`,
        number,
        after,
      )
    : database.value<number>(
        `SELECT id FROM manifest WHERE id > ? ORDER BY id LIMIT 1 OFFSET ${WINDOW_ROWS - 1}`,
        after,
      );
  const rows = database.all<ManifestRow>(
    `SELECT * FROM manifest WHERE ${ofKind} AND id > ? AND id <= ? ${conditions.sql} ORDER BY id LIMIT ${PAGE_ROWS}`,
    number,
    after,
    end ?? LAST,
    ...conditions.parameters,
  );
  return { rows, next: placeAfter(rows, end === undefined ? undefined : { id: end, created: 0 }) };
}

/** The order by time, in one of its directions, as SQL says it. */
const DIRECTIONS = {
  oldest: { beyond: '>', within: '<=', by: 'ASC', start: FIRST, far: LAST },
  newest: { beyond: '<', within: '>=', by: 'DESC', start: LAST, far: FIRST },
} as const;

type TimeOrder = keyof typeof DIRECTIONS;

function startOf(order: TimeOrder): Place {
  const { start } = DIRECTIONS[order];
  return { created: start, id: start };
}

/**
 * Follows the index by time. All of an import may have one time, so rows of the same time as the
 * last one are a walk of their own: a page must not pass those again that came before.
 */
function walkByTime(listing: Listing, order: TimeOrder, after: Place): Step {
  const same = walkSameTime(listing, order, after);
  if (same.next !== undefined) return same;
  const { index, kind, conditions } = listing;
  const { beyond, by, far, start } = DIRECTIONS[order];
  const number = KIND_NUMBERS[kind];
  const time = (skipped: number) =>
    index.database.value<number>(
      `SELECT created FROM manifest WHERE kind = ? AND created ${beyond} ? ORDER BY created ${by} LIMIT 1 OFFSET ?`,
      number,
      after.created,
      skipped,
    );
  const first = time(0);
  if (first === undefined) return same;
  const last = time(WINDOW_ROWS - 1);
  // Very many of one time: they are the next walk.
  if (first === last) return { rows: same.rows, next: { created: first, id: start } };
  // Up to those of the last time, which may go on beyond the window.
  const rows = index.database.all<ManifestRow>(
    `SELECT * FROM manifest WHERE kind = ? AND created ${beyond} ? AND ? ${beyond} created ${conditions.sql}
     ORDER BY created ${by}, id ${by} LIMIT ${PAGE_ROWS - same.rows.length}`,
    number,
    after.created,
    last ?? far,
    ...conditions.parameters,
  );
  const all = [...same.rows, ...rows];
  return {
    rows: all,
    next: placeAfter(all, last === undefined ? undefined : { created: last, id: start }),
  };
}

/** Follows the rows of one time, by their ids. */
function walkSameTime(
  { index, kind, conditions }: Listing,
  order: TimeOrder,
  { created, id }: Place,
): Step {
  const { database } = index;
  const { beyond, within, by, far } = DIRECTIONS[order];
  const number = KIND_NUMBERS[kind];
  const end = database.value<number>(
    `SELECT id FROM manifest WHERE kind = ? AND created = ? AND id ${beyond} ? ORDER BY id ${by} LIMIT 1 OFFSET ${WINDOW_ROWS - 1}`,
    number,
    created,
    id,
  );
  const rows = database.all<ManifestRow>(
    `SELECT * FROM manifest WHERE kind = ? AND created = ? AND id ${beyond} ? AND id ${within} ? ${conditions.sql}
     ORDER BY id ${by} LIMIT ${PAGE_ROWS}`,
    number,
    created,
    id,
    end ?? far,
    ...conditions.parameters,
  );
  return { rows, next: placeAfter(rows, end === undefined ? undefined : { created, id: end }) };
}

/** Where a walk goes on: after the last row of a full page, else where its window ends. */
function placeAfter(rows: readonly ManifestRow[], end: Place | undefined): Place | undefined {
  if (rows.length < PAGE_ROWS) return end;
  const { id, created } = rows.at(-1) as ManifestRow;
  return { id, created };
}
