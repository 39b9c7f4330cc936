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

/** A record of the log found in a pack. */
export interface FoundRecord {
  readonly number: number;
  readonly record: LogRecord;
}

/** The records in a block of the log; skips unreadable ones. */
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

/** The content of a part of a pack that the index does not know. */
export interface Unaccounted {
  readonly blocks: number;
  /** Records of commits that the index does not know, ascending. */
  readonly records: readonly FoundRecord[];
  /**
   * Whether the index lacks an acknowledged commit: nobody writes a second commit before the index
   * has the first. When false, there is at most one commit, most likely an interrupted one.
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

/** @throws `CORRUPT` when a part of a pack contains acknowledged commits that the index lacks. */
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

/** The message for an index that is older than a pack, with what to do. */
export function outdatedIndex(path: string, start: number): string {
  return (
    `${path} has commits from byte ${start} on that the index lacks: varve.db is an older ` +
    'copy, or its varve.db-wal is missing; put that back, or rebuild the store from its packs ' +
    'with varve salvage'
  );
}

/**
 * Surveys the unknown commits in a pack that the index does not name; `undefined` when it has none.
 * A pack is registered before it is written to, so such an index is outdated.
 */
export function unknownCommits(database: IndexDatabase, path: string): Unaccounted | undefined {
  if (!/^\d{8,}\.pack$/.test(basename(path)) || lengthOfFile(path) === 0) return undefined;
  const unaccounted = surveyUnaccounted(path, 0, Number.POSITIVE_INFINITY, database.meta('log'));
  return unaccounted.records.length === 0 ? undefined : unaccounted;
}
