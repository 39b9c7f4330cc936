import type { ListFilter, ManifestKind } from '../../contract/manifests.ts';
import { KIND_NUMBERS } from '../format/schema.ts';
import type { LocalIndex } from './local-index.ts';
import type { ManifestRow } from './manifest-table.ts';

/** Rows read in one snapshot: enough to be fast, few enough to let others work. */
const PAGE_ROWS = 500;

/** Where a page of a listing ends, and the next begins. */
export type ListCursor = Pick<ManifestRow, 'id' | 'created'>;

/** The next rows of a listing after `cursor`, at most a page; fewer mean the end. */
export function listPage(
  index: LocalIndex,
  kind: ManifestKind,
  filter: ListFilter,
  cursor: ListCursor | undefined,
): { rows: ManifestRow[]; isLast: boolean } {
  const conditions = ['kind = ?'];
  const parameters: (number | string)[] = [KIND_NUMBERS[kind]];
  const where = (condition: string, ...values: number[]) => {
    conditions.push(condition);
    parameters.push(...values);
  };
  for (const field of ['application', 'model'] as const) {
    const name = filter[field];
    if (name === undefined) continue;
    const number = index.names.find(name);
    if (number === undefined) return { rows: [], isLast: true };
    where(`${field} = ?`, number);
  }
  if (filter.since !== undefined) where('created >= ?', filter.since);
  if (filter.until !== undefined) where('created < ?', filter.until);
  if (filter.held !== undefined) {
    if (!index.holds.exists) {
      if (filter.held) return { rows: [], isLast: true };
    } else where(`id ${filter.held ? 'IN' : 'NOT IN'} (SELECT manifest FROM hold)`);
  }
  // The literal lets SQLite use the small index of everything that is not a conversation.
  if (kind !== 'conversation') where('kind <> 0');
  const { order = 'archived' } = filter;
  if (cursor !== undefined) {
    if (order === 'archived') where('id > ?', cursor.id);
    if (order === 'oldest') where('(created, id) > (?, ?)', cursor.created, cursor.id);
    if (order === 'newest') where('(created, id) < (?, ?)', cursor.created, cursor.id);
  }
  const by = { archived: 'id', oldest: 'created, id', newest: 'created DESC, id DESC' }[order];
  const rows = index.database.all<ManifestRow>(
    `SELECT * FROM manifest WHERE ${conditions.join(' AND ')} ORDER BY ${by} LIMIT ${PAGE_ROWS}`,
    ...parameters,
  );
  return { rows, isLast: rows.length < PAGE_ROWS };
}
