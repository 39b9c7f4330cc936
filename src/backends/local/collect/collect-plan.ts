import { CountTable } from '../../../core/collections/count-table.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { CollectShare } from '../../contract/maintenance.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { BODIES, SEGMENTS, type Space } from '../format/schema.ts';
import { DeadBytes } from '../tables/dead-bytes.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { ManifestRow } from '../tables/manifest-table.ts';
import { type CollectScope, cutoffOf } from './collect-scope.ts';
import { ExpireCounts, type ExpireTotals, listExpired } from './expire.ts';
import { listGarbage } from './sweep.ts';

/** What the deletions and the sweep of a collection would do. */
export interface SweepPlan extends ExpireTotals {
  readonly swept: CollectShare;
  readonly waiting: CollectShare;
  /** Bytes before compression that would be dead besides those that are, by block. */
  readonly dead: ReadonlyMap<number, number>;
}

/**
 * Plays the deletions and the sweep of a collection through without doing them. To be called in a
 * snapshot.
 */
export function planSweep(
  context: MaintenanceContext,
  graceMs: number,
  now: number,
  scope: CollectScope,
): SweepPlan {
  const { index } = context;
  const cutoff = cutoffOf(now, graceMs);
  const dead = new DeadBytes();
  const swept = { count: 0, bytes: 0 };
  const waiting = { count: 0, bytes: 0 };
  const meet = (space: Space, record: number, since: number) => {
    if (!scope.hasRecord(record)) return;
    if (since > cutoff && space !== SEGMENTS) return;
    const length =
      since <= cutoff ? dead.add(index, space, record) : index.records.length(space, record);
    if (space !== SEGMENTS) return;
    const total = since <= cutoff ? swept : waiting;
    total.count++;
    total.bytes += length;
  };
  for (const { space, record, since } of listGarbage(index, scope)) meet(space, record, since);
  const counts = new ExpireCounts();
  const released = new CountTable();
  for (const rows of listExpired(context, now, scope)) {
    counts.add(rows);
    for (const row of rows) {
      for (const body of index.manifests.bodies(row)) {
        const segments = segmentsOf(index, row, body);
        if (segments === undefined) continue;
        meet(BODIES, body, now);
        for (const segment of segments) released.add(segment, 1);
      }
    }
  }
  for (const segment of released.ids()) {
    if (index.ledger.count(SEGMENTS, segment) === released.get(segment))
      meet(SEGMENTS, segment, now);
  }
  return {
    expired: counts.expired,
    abandoned: counts.abandoned,
    swept,
    waiting,
    dead: dead.byBlock,
  };
}

/**
 * What an entry references; `undefined` when its body cannot be read: then its deletion leaves it
 * alone.
 */
function segmentsOf(
  index: LocalIndex,
  row: ManifestRow,
  body: number,
): ReadonlySet<number> | undefined {
  try {
    return new Set(index.body(body, index.manifests.key(row)).segments);
  } catch (error) {
    if (isUnreadable(error)) return undefined;
    throw error;
  }
}
