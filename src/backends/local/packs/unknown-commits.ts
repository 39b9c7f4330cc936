import { basename } from 'node:path';
import { isUnreadable, VarveError } from '../../../core/errors.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { packPath } from '../files/pack-files.ts';
import { lengthOfFile } from '../files/plain-files.ts';
import { decodeBlockPayload } from '../format/block.ts';
import { decodeLogRecord } from '../format/log-codec.ts';
import type { LogRecord } from '../format/log-record.ts';
import { LOG } from '../format/schema.ts';
import { isBlock, PackFile, type ScannedBlock } from './pack-scan.ts';

/** A record of the log as it was found in a pack. */
export interface FoundRecord {
  readonly number: number;
  readonly record: LogRecord;
}

/** The records in a block of the log; those that cannot be read are left out. */
export function recordsIn(
  file: PackFile,
  { start, length, directory }: ScannedBlock,
): FoundRecord[] {
  const what = `${file.path} at byte ${start}`;
  const found: FoundRecord[] = [];
  try {
    const payload = decodeBlockPayload(file.read(start, length), directory, what);
    for (let slot = 0; slot < directory.records; slot++) {
      const bytes = payload.subarray(directory.offsets[slot], directory.offsets[slot + 1]);
      found.push({ number: directory.ids[slot] as number, record: decodeLogRecord(bytes, what) });
    }
  } catch (error) {
    if (!isUnreadable(error)) throw error;
  }
  return found;
}

/** What lies in a part of a pack that the index does not account for. */
export interface Unaccounted {
  readonly blocks: number;
  /** Records of commits that the index does not know, ascending. */
  readonly records: readonly FoundRecord[];
  /**
   * Whether the index lacks a commit that was acknowledged: nobody writes a second one before the
   * index has the first. Where this is false, there is at most one, and it was most likely cut off.
   */
  readonly isIndexOutdated: boolean;
}

/** @param newest the number of the newest record that the index knows. */
export function surveyUnaccounted(
  path: string,
  start: number,
  end: number,
  newest: number,
): Unaccounted {
  const file = new PackFile(path);
  try {
    let blocks = 0;
    const records: FoundRecord[] = [];
    for (const found of file.scan(start, Math.min(end, file.size))) {
      if (!isBlock(found)) continue;
      blocks++;
      if (found.directory.space === LOG) records.push(...recordsIn(file, found));
    }
    const unknown = records
      .filter(({ number }) => number > newest)
      .sort((a, b) => a.number - b.number);
    const isIndexOutdated = unknown.some(({ number, record }) => number - record.part > newest + 1);
    return { blocks, records: unknown, isIndexOutdated };
  } finally {
    file.close();
  }
}

/**
 * @throws `CORRUPT` when a part of a pack holds commits that were acknowledged and that the index
 * lacks.
 */
export function assertNoCommits(
  root: string,
  pack: number,
  { start, end }: { readonly start: number; readonly end: number },
  newest: number,
): void {
  const path = packPath(root, pack);
  if (lengthOfFile(path) === 0 || !surveyUnaccounted(path, start, end, newest).isIndexOutdated)
    return;
  throw new VarveError('CORRUPT', outdatedIndex(path, start));
}

/** What is wrong with an index that is older than a pack, and what to do. */
export function outdatedIndex(path: string, start: number): string {
  return (
    `${path} holds commits from byte ${start} on that the index lacks: varve.db is an older ` +
    'copy, or its varve.db-wal is missing; put that back, or rebuild the store from its packs ' +
    'with varve salvage'
  );
}

/**
 * What a pack that the index does not name has of commits that the index lacks; `undefined` when it
 * has none. A pack is registered before it is written to, so the index must be an older one then.
 */
export function unknownCommits(database: IndexDatabase, path: string): Unaccounted | undefined {
  if (!/^\d{8,}\.pack$/.test(basename(path)) || lengthOfFile(path) === 0) return undefined;
  const unaccounted = surveyUnaccounted(path, 0, Number.POSITIVE_INFINITY, database.meta('log'));
  return unaccounted.records.length === 0 ? undefined : unaccounted;
}
