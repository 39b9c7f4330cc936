import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from '../../errors.ts';
import type { CollectOptions } from '../backend.ts';
import { isDamage } from './block.ts';
import type { LocalIndex } from './local-index.ts';
import type { MaintenanceContext } from './maintenance-context.ts';
import type { ManifestRow } from './manifest-table.ts';
import { SEGMENTS, type Space } from './schema.ts';

/** Records condemned in one transaction. */
const BATCH = 5000;

export interface SweepTotals {
  collectedSegments: number;
  collectedBytes: number;
  waitingSegments: number;
  waitingBytes: number;
}

interface Garbage {
  readonly space: Space;
  readonly record: number;
}

/**
 * Condemns records that nothing has referenced since `cutoff`. From the commit of such a transaction on nobody finds, counts or
 * reads them; the epoch tells the caches of all processes.
 */
export async function sweep(
  { index }: MaintenanceContext,
  cutoff: number,
  { signal, onProgress }: CollectOptions,
): Promise<Pick<SweepTotals, 'collectedSegments' | 'collectedBytes'>> {
  const total = index.database.value<number>('SELECT count(*) FROM state WHERE refs = 0 AND since <= ?', cutoff) ?? 0;
  let done = 0;
  let collectedSegments = 0;
  let collectedBytes = 0;
  for (;;) {
    throwIfAborted(signal);
    const batch = await index.database.write(() => {
      index.refresh();
      const garbage = index.database
        .all<Garbage>('SELECT space, record FROM state WHERE refs = 0 AND since <= ? LIMIT ?', cutoff, BATCH)
        .sort((a, b) => a.space - b.space || a.record - b.record);
      for (const { space, record } of garbage) {
        const length = condemn(index, space, record);
        if (space === SEGMENTS) {
          collectedSegments++;
          collectedBytes += length;
        }
      }
      if (garbage.length > 0) index.bumpEpoch();
      return garbage.length;
    }, signal);
    done += batch;
    onProgress?.({ phase: 'sweep', done, total: Math.max(done, total) });
    if (batch < BATCH) return { collectedSegments, collectedBytes };
    await nextTurn();
  }
}

/** Marks a record as swept and its bytes in its block as dead; returns how many those are. */
function condemn(index: LocalIndex, space: Space, record: number): number {
  index.ledger.sweep(space, record);
  return countDead(index, space, record, 1);
}

/**
 * Adds the bytes of a record to what is dead in its block, or takes them off again; returns how many those are.
 * None when they cannot be read: that is an audit's to tell.
 */
export function countDead(index: LocalIndex, space: Space, record: number, sign: 1 | -1): number {
  try {
    const place = index.records.locate(space, record);
    if (place === undefined) return 0;
    const length = place.directory.storedLength(place.slot);
    index.database.run('UPDATE block SET dead = dead + ? WHERE id = ?', sign * length, place.block.id);
    return length;
  } catch (error) {
    if (isDamage(error)) return 0;
    throw error;
  }
}

/** What a sweep would find, after the deletion of `expired`: a dry run. Also tells what is within the grace. */
export function surveyGarbage(
  index: LocalIndex,
  expired: readonly ManifestRow[],
  cutoff: number,
  now: number,
): SweepTotals {
  const totals = { collectedSegments: 0, collectedBytes: 0, waitingSegments: 0, waitingBytes: 0 };
  const count = (record: number, since: number) => {
    const length = index.records.length(SEGMENTS, record);
    if (since <= cutoff) {
      totals.collectedSegments++;
      totals.collectedBytes += length;
    } else {
      totals.waitingSegments++;
      totals.waitingBytes += length;
    }
  };
  const garbage = index.database.all<{ record: number; since: number }>(
    'SELECT record, since FROM state WHERE space = ? AND refs = 0 ORDER BY record',
    SEGMENTS,
  );
  for (const { record, since } of garbage) count(record, since);
  const released = new Map<number, number>();
  for (const row of expired) {
    for (const body of index.manifests.bodies(row)) {
      for (const segment of segmentsOf(index, row, body)) released.set(segment, (released.get(segment) ?? 0) + 1);
    }
  }
  for (const [segment, references] of released) {
    if (index.ledger.count(SEGMENTS, segment) === references) count(segment, now);
  }
  return totals;
}

/** What an entry references; nothing when its body cannot be read, as when it is deleted. */
function segmentsOf(index: LocalIndex, row: ManifestRow, body: number): ReadonlySet<number> {
  try {
    return new Set(index.body(body, index.manifests.key(row)).segments);
  } catch (error) {
    if (isDamage(error)) return new Set();
    throw error;
  }
}
