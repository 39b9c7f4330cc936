import { encodeLogRecord } from '../format/log-codec.ts';
import type { LogRecord, PackSpan } from '../format/log-record.ts';
import { LOG } from '../format/schema.ts';
import { recordsIn } from '../packs/unknown-commits.ts';
import type { PackInventory } from './pack-inventory.ts';

/** The valid records of the log, of all those in the packs. */
export interface LogSelection {
  /** Records by number. */
  readonly records: ReadonlyMap<number, LogRecord>;
  /** Bytes that belong to no commit, as the records state. */
  readonly voids: readonly PackSpan[];
  /** The number of the log's first record; 0 when the log lacks manifests. */
  readonly floor: number;
  /** The largest number of any record, readable or not. */
  readonly newest: number;
}

interface Candidate {
  readonly pack: number;
  readonly start: number;
  readonly record: LogRecord;
}

/**
 * Selects the valid records from all those in the packs (invariant L7). A number occurs twice when
 * a writer was interrupted before its commit: then a later record got that number, and states that
 * the bytes of the first belong to no commit. So the newest records are checked first.
 */
export function selectLog(inventory: PackInventory): LogSelection {
  const candidates = collect(inventory);
  const numbers = [...candidates.keys()].sort((a, b) => b - a);
  const records = new Map<number, LogRecord>();
  const voids: PackSpan[] = [];
  for (const number of numbers) {
    const open = (candidates.get(number) as Candidate[]).filter((each) => !isVoid(each, voids));
    const last = open.filter(
      (each) => !open.some((other) => other !== each && isVoid(each, other.record.voids)),
    );
    const [first] = last;
    if (first === undefined || !last.every(({ record }) => isSame(record, first.record))) continue;
    records.set(number, first.record);
    voids.push(...first.record.voids);
  }
  const unreadable = unreadableRecords(inventory, candidates, voids);
  if (unreadable < newestOf(records)) dropUnfinished(records);
  let floor = 0;
  for (const record of records.values()) floor = Math.max(floor, record.floor);
  return { records, voids, floor, newest: Math.max(unreadable, newestOf(records)) };
}

/** The largest number of an unreadable record; 0 when there is none. */
function unreadableRecords(
  inventory: PackInventory,
  candidates: ReadonlyMap<number, readonly Candidate[]>,
  voids: readonly PackSpan[],
): number {
  let newest = 0;
  for (const block of inventory.blocks) {
    if (block.directory.space !== LOG || isVoid(block, voids)) continue;
    for (const number of block.directory.ids) {
      const isRead = candidates
        .get(number)
        ?.some(({ pack, start }) => pack === block.pack && start === block.start);
      if (isRead !== true) newest = Math.max(newest, number);
    }
  }
  return newest;
}

/** Whether one is a copy of the other. */
function isSame(a: LogRecord, b: LogRecord): boolean {
  return a === b || encodeLogRecord(a).equals(encodeLogRecord(b));
}

function newestOf(records: ReadonlyMap<number, LogRecord>): number {
  let newest = 0;
  for (const number of records.keys()) newest = Math.max(newest, number);
  return newest;
}

function collect(inventory: PackInventory): Map<number, Candidate[]> {
  const candidates = new Map<number, Candidate[]>();
  for (const block of inventory.blocks) {
    if (block.directory.space !== LOG) continue;
    const { pack, start } = block;
    for (const { number, record } of recordsIn(inventory.fileOf(pack), block)) {
      candidates.set(number, [...(candidates.get(number) ?? []), { pack, start, record }]);
    }
  }
  return candidates;
}

function isVoid(
  { pack, start }: Pick<Candidate, 'pack' | 'start'>,
  voids: readonly PackSpan[],
): boolean {
  return voids.some(
    (span) => span.pack === pack && start >= span.start && start < span.start + span.length,
  );
}

/** Drops commits whose last record is missing: they were interrupted while they were written. */
function dropUnfinished(records: Map<number, LogRecord>): void {
  for (let newest = newestOf(records); records.get(newest)?.isContinued; newest--)
    records.delete(newest);
}
