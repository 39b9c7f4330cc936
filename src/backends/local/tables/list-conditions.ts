import type { ListFilter } from '../../contract/manifests.ts';
import type { LocalIndex } from './local-index.ts';

/** The filter of a list, apart from its kind and order, as conditions on rows of `manifest`. */
export interface ListConditions {
  /** Begins with AND; empty when everything passes. */
  readonly sql: string;
  readonly parameters: readonly number[];
  /** Numbers of the names that are asked for. */
  readonly names: readonly number[];
}

/** `undefined` when nothing can pass. */
export function listConditions(index: LocalIndex, filter: ListFilter): ListConditions | undefined {
  const conditions: string[] = [];
  const parameters: number[] = [];
  const names: number[] = [];
  for (const field of ['application', 'model'] as const) {
    const name = filter[field];
    if (name === undefined) continue;
    const number = index.names.find(name);
    if (number === undefined) return undefined;
    names.push(number);
    conditions.push(`AND ${field} = ?`);
    parameters.push(number);
  }
  // The plus keeps these from choosing an index: the order does.
  for (const [bound, comparison] of [
    [filter.since, '>='],
    [filter.until, '<'],
  ] as const) {
    if (bound === undefined) continue;
    conditions.push(`AND +created ${comparison} ?`);
    parameters.push(bound);
  }
  if (filter.held === true && !index.holds.exists) return undefined;
  if (filter.held !== undefined && index.holds.exists) {
    // A plain EXISTS may make SQLite begin with the holds, and sort.
    const hold = '(SELECT 1 FROM hold WHERE hold.manifest = manifest.id)';
    conditions.push(`AND ${hold} ${filter.held ? 'IS NOT NULL' : 'IS NULL'}`);
  }
  return { sql: conditions.join(' '), parameters, names };
}
