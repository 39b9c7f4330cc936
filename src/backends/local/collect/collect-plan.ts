import { CountTable } from '../../../core/collections/count-table.ts';
import { isUnreadable } from '../../../core/errors.ts';
import { BODIES, SEGMENTS, type Space } from '../format/schema.ts';
import { DeadBytes } from '../tables/dead-bytes.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { ManifestRow } from '../tables/manifest-table.ts';
import type { CollectRun } from './collect-run.ts';
import { cutoffOf } from './collect-scope.ts';
import { ExpireCounts, listExpired } from './expire.ts';
import { deadBytes, duePacks, surveyPacks } from './pack-survey.ts';
import { listGarbage } from './sweep.ts';

/**
 * Plays a collection through in one snapshot, without doing it: deletions, sweep, and the packs
 * that a run would rewrite then.
 */
export function planCollection(run: CollectRun): void {
  const { context, scope, options } = run;
  const { erase, full } = options;
  const { database } = context.index;
  database.snapshot(() => {
    context.index.refresh();
    const dead = planSweep(run, context.clock());
    const packs = surveyPacks(context, dead.byBlock);
    const due = erase
      ? packs.filter((pack) => deadBytes([pack]) > 0)
      : duePacks(context, packs, full, scope);
    run.rewritten = due;
    run.freedBytes = deadBytes(due);
    run.deadBytes = deadBytes(packs.filter((pack) => !due.includes(pack)));
  });
}

/** Counts what deletions and sweep would do; returns the bytes that would be dead then. */
function planSweep(run: CollectRun, now: number): DeadBytes {
  const { context, scope } = run;
  const { index } = context;
  const cutoff = cutoffOf(now, run.graceMs);
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
  run.expired = counts.expired;
  run.abandoned = counts.abandoned;
  run.swept = swept;
  run.waiting = waiting;
  return dead;
}

/**
 * The segments that an entry references; `undefined` when its body cannot be read: then its
 * deletion releases nothing.
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
