import type { ListFilter, ManifestKind } from '../../contract/manifests.ts';
import { KIND_NUMBERS, ZONE_ROWS } from '../format/schema.ts';
import type { ListConditions } from './list-conditions.ts';
import type { LocalIndex } from './local-index.ts';
import type { ManifestRow } from './manifest-table.ts';

/**
 * The candidates of a list are what it can contain, found by something rare that its filter asks
 * for: a name, a hold, a time, a kind. They are gathered once for a list, and sorted.
 */

/** At most this many rows are looked at to gather candidates. */
const MOST_ROWS = 128 * 1024;

/** Gathering pays when it looks at less than this share of all rows. */
const SMALLEST_GAIN = 8;

/** The place of a row in a list. */
export type Place = Pick<ManifestRow, 'id' | 'created'>;

/** What is left of a list: ids in its order, and how many of them have been read. */
export interface Candidates {
  readonly ids: readonly number[];
  readonly at: number;
}

/** Where candidates come from. */
interface Source {
  /** Rows to look at, as far as counted. */
  readonly rows: number;
  readonly gather: () => Place[];
}

/** All rows that pass, in no order; `undefined` when nothing rare is asked for. */
export function findCandidates(
  index: LocalIndex,
  kind: ManifestKind,
  filter: ListFilter,
  conditions: ListConditions,
): Place[] | undefined {
  const last = index.database.value<number | null>('SELECT max(id) FROM manifest') ?? 0;
  const limit = Math.min(MOST_ROWS, Math.floor(last / SMALLEST_GAIN));
  const [source] = sources(index, kind, filter, conditions, limit)
    .filter(({ rows }) => rows <= limit)
    .sort((a, b) => a.rows - b.rows);
  return source?.gather();
}

/** Compares places in the order of a list. */
export function placeOrder(
  order: NonNullable<ListFilter['order']>,
): (a: Place, b: Place) => number {
  if (order === 'archived') return (a, b) => a.id - b.id;
  const oldest = (a: Place, b: Place) => a.created - b.created || a.id - b.id;
  return order === 'oldest' ? oldest : (a, b) => oldest(b, a);
}

function sources(
  index: LocalIndex,
  kind: ManifestKind,
  filter: ListFilter,
  conditions: ListConditions,
  limit: number,
): Source[] {
  const { database } = index;
  const number = KIND_NUMBERS[kind];
  const count = (rows: string, ...parameters: number[]) =>
    database.value<number>(
      `SELECT count(*) FROM (SELECT 1 FROM ${rows} LIMIT ?)`,
      ...parameters,
      limit + 1,
    ) ?? 0;
  const gather = (rows: string, ...parameters: number[]) =>
    database.all<Place>(
      `SELECT manifest.id, manifest.created FROM ${rows} AND +kind = ? ${conditions.sql}`,
      ...parameters,
      number,
      ...conditions.parameters,
    );
  const found: Source[] = [];
  if (index.hasZones) {
    for (const name of conditions.names) {
      found.push({
        rows: count('zone WHERE name = ?', name) * ZONE_ROWS,
        gather: () =>
          gather(
            `zone CROSS JOIN manifest ON manifest.id BETWEEN zone * ${ZONE_ROWS} AND zone * ${ZONE_ROWS} + ${ZONE_ROWS - 1}
             WHERE zone.name = ?`,
            name,
          ),
      });
    }
  }
  if (filter.held === true) {
    found.push({
      rows: count('hold'),
      gather: () => gather('hold CROSS JOIN manifest ON manifest.id = hold.manifest WHERE TRUE'),
    });
  }
  // A list by time passes over nothing else.
  if ((filter.order ?? 'archived') === 'archived') {
    const range = [
      number,
      filter.since ?? Number.MIN_SAFE_INTEGER,
      filter.until ?? Number.MAX_SAFE_INTEGER,
    ] as const;
    const within = 'manifest WHERE kind = ? AND created >= ? AND created < ?';
    found.push({ rows: count(within, ...range), gather: () => gather(within, ...range) });
  }
  return found;
}
