import { stateOf, writeRecords } from '../commit/commit-log.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import type { PackAppender } from '../files/pack-files.ts';
import type { LogOperation, PackSpan } from '../format/log-record.ts';
import { KIND_NUMBERS } from '../format/schema.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { ManifestRow } from '../tables/manifest-table.ts';

/** Rows, and entries of these, that one transaction covers. */
const STEP_ROWS = 4096;
const STEP_ENTRIES = 64 * 1024;

/** What one transaction of a snapshot has written. */
interface SnapshotStep {
  readonly isLast: boolean;
  readonly rows: number;
  readonly bytes: number;
}

/** Writes the next rows of the snapshot. */
export function snapshotStep(
  { index, tuning }: MaintenanceContext,
  appender: PackAppender,
): SnapshotStep {
  index.refresh();
  const { database } = index;
  const run = database.meta('log_run');
  // Another process has written the last range.
  if (run === 0) return { isLast: true, rows: 0, bytes: 0 };
  const start = appender.end;
  const first = database.meta('log_row');
  const { operations, rows, end } = collectRows(index, first);
  const isLast = end === 0;
  if (isLast) {
    database.setMeta('log_floor', run);
    database.setMeta('log_run', 0);
  } else database.setMeta('log_row', end);
  // With the last range, the records that state earlier voids are below the floor: state all again.
  const voids = database.all<PackSpan>(
    `SELECT pack, start, length FROM void ${isLast ? '' : 'WHERE stated = 0'}`,
  );
  writeRecords(index, appender, tuning.bodies.level, voids, { first, end }, operations);
  return { isLast, rows, bytes: appender.end - start };
}

interface Range {
  readonly operations: LogOperation[];
  readonly rows: number;
  /** The row that the next range begins with; 0 when there is none. */
  readonly end: number;
}

function collectRows(index: LocalIndex, first: number): Range {
  const page = index.database.all<ManifestRow>(
    'SELECT * FROM manifest WHERE id >= ? ORDER BY id LIMIT ?',
    first,
    STEP_ROWS + 1,
  );
  const operations: LogOperation[] = [];
  let entries = 0;
  for (const [at, row] of page.entries()) {
    if (at === STEP_ROWS || entries > STEP_ENTRIES) return { operations, rows: at, end: row.id };
    if (row.kind === KIND_NUMBERS.upload) continue;
    entries += addRow(index, row, operations);
  }
  return { operations, rows: page.length, end: 0 };
}

/** Adds the operations that make a row; returns the number of its entries. */
function addRow(index: LocalIndex, row: ManifestRow, operations: LogOperation[]): number {
  const state = stateOf(index, row);
  const { bodies, nonces } = index.manifests.entries(row);
  const { id, kind, name } = row;
  const part = (from: number) => ({
    bodies: bodies.slice(from, from + STEP_ENTRIES),
    nonces: nonces
      .filter(([at]) => at >= from && at < from + STEP_ENTRIES)
      .map(([at, nonce]) => [at - from, nonce] as const),
  });
  operations.push({ type: 'put', row: id, kind, name, state, entries: part(0), dropped: [] });
  for (let from = STEP_ENTRIES; from < bodies.length; from += STEP_ENTRIES) {
    operations.push({ type: 'append', row: id, from, state, entries: part(from) });
  }
  const hold = index.holds.find(id);
  if (hold !== undefined)
    operations.push({ type: 'hold', row: id, since: hold.since, reason: hold.reason ?? null });
  return bodies.length;
}
