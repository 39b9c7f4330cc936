import type { IndexDatabase } from '../database/index-database.ts';
import type { BlockDirectory } from '../format/block.ts';
import type { Space } from '../format/schema.ts';

/** Ids from `first` up to `end`, exclusive. */
interface IdRange {
  readonly first: number;
  readonly end: number;
}

/** The slots of a block, ascending, by whether the index leads to them. */
export interface SlotSurvey {
  readonly reachable: readonly number[];
  readonly others: readonly number[];
}

/**
 * Slots that are not reachable were taken over by another block, see {@link takeOver}, or are lost.
 */
export function surveySlots(
  database: IndexDatabase,
  space: Space,
  block: number,
  { ids }: Pick<BlockDirectory, 'ids'>,
): SlotSurvey {
  const firsts = database.all<{ first: number }>(
    'SELECT first FROM extent WHERE block = ? AND space = ? ORDER BY first',
    block,
    space,
  );
  const ranges = firsts.map(({ first }): IdRange => {
    const end = database.value<number | null>(
      'SELECT min(first) FROM extent WHERE space = ? AND first > ?',
      space,
      first,
    );
    return { first, end: end ?? Number.POSITIVE_INFINITY };
  });
  const reachable: number[] = [];
  const others: number[] = [];
  let range = 0;
  for (let slot = 0; slot < ids.length; slot++) {
    const id = ids[slot] as number;
    while (range < ranges.length && id >= (ranges[range] as IdRange).end) range++;
    const isReachable = range < ranges.length && id >= (ranges[range] as IdRange).first;
    (isReachable ? reachable : others).push(slot);
  }
  return { reachable, others };
}

/** Makes a block take over a record from the block that has it; that one keeps all others. */
export function takeOver(
  database: IndexDatabase,
  space: Space,
  record: number,
  target: number,
): void {
  const source = database.value<number>(
    'SELECT block FROM extent WHERE space = ? AND first <= ? ORDER BY first DESC LIMIT 1',
    space,
    record,
  );
  database.run(
    'INSERT INTO extent (space, first, block) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET ' +
      'block = excluded.block',
    space,
    record,
    target,
  );
  if (source === undefined) return;
  database.run(
    'INSERT OR IGNORE INTO extent (space, first, block) VALUES (?, ?, ?)',
    space,
    record + 1,
    source,
  );
}

/** Drops the extents of a block that only repeat the extent before them. */
export function joinExtents(database: IndexDatabase, space: Space, block: number): void {
  const firsts = database.all<{ first: number }>(
    'SELECT first FROM extent WHERE block = ? AND space = ? ORDER BY first',
    block,
    space,
  );
  for (const { first } of firsts.slice(1)) {
    const previous = database.value<number>(
      'SELECT block FROM extent WHERE space = ? AND first < ? ORDER BY first DESC LIMIT 1',
      space,
      first,
    );
    if (previous === block)
      database.run('DELETE FROM extent WHERE space = ? AND first = ?', space, first);
  }
}
