import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ManifestKind } from '../../contract/manifests.ts';
import type { Usage } from '../../contract/usage.ts';
import { indexBytes } from '../database/index-upkeep.ts';
import { lengthOfFile } from '../files/plain-files.ts';
import type { StoreFolder } from '../files/store-folder.ts';
import { KIND_NUMBERS, SEGMENTS, SWEPT } from '../format/schema.ts';
import type { LocalIndex } from '../tables/local-index.ts';

/** Sums up the store from its index, in one snapshot. */
export function localUsage({ root, packs }: StoreFolder, index: LocalIndex): Usage {
  const { database } = index;
  const of = (kind: ManifestKind) => {
    // Most are conversations, so they are summed in the order of the table; others by their index.
    const isOther = kind !== 'conversation';
    return database.get<{ count: number; logicalBytes: number }>(
      `SELECT count(*) AS count, coalesce(sum(bytes), 0) AS logicalBytes FROM manifest
       WHERE ${isOther ? 'kind = ? AND kind <> 0' : '+kind = ?'}`,
      KIND_NUMBERS[kind],
    ) as { count: number; logicalBytes: number };
  };
  const stored = database.get<{ records: number | null; raw: number | null; dead: number | null }>(
    'SELECT sum(records) AS records, sum(raw) AS raw, sum(dead) AS dead FROM block WHERE space = ?',
    SEGMENTS,
  );
  const swept =
    database.value<number>(
      'SELECT count(*) FROM state WHERE space = ? AND refs = ?',
      SEGMENTS,
      SWEPT,
    ) ?? 0;
  const garbage = database.all<{ record: number }>(
    'SELECT record FROM state WHERE space = ? AND refs = 0 ORDER BY record',
    SEGMENTS,
  );
  let garbageBytes = 0;
  for (const { record } of garbage) garbageBytes += index.records.length(SEGMENTS, record);
  const ofIndex = indexBytes(root);
  return {
    manifests: { conversation: of('conversation'), blob: of('blob'), pin: of('pin') },
    segments: (stored?.records ?? 0) - swept,
    segmentBytes: (stored?.raw ?? 0) - (stored?.dead ?? 0),
    storedBytes: ofIndex + folderBytes(packs),
    indexBytes: ofIndex,
    garbageSegments: garbage.length,
    garbageBytes,
  };
}

function folderBytes(folder: string): number {
  if (!existsSync(folder)) return 0;
  return readdirSync(folder).reduce((total, name) => {
    // A collection in another process may remove a file meanwhile.
    return total + lengthOfFile(join(folder, name));
  }, 0);
}
