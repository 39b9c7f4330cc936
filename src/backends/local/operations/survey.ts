import { countTokens } from '../../../cas/codec/token-codec.ts';
import { batchesOf } from '../../../core/batches.ts';
import { isUnreadable } from '../../../core/errors.ts';
import { MANIFEST_KINDS, type ManifestHead, type ManifestKey } from '../../contract/manifests.ts';
import type { ManifestSurvey, SurveyedSegment } from '../../contract/usage.ts';
import { PackVanished } from '../files/pack-files.ts';
import { BODIES, SEGMENTS } from '../format/schema.ts';
import type { RecordPlace } from '../packs/record-store.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { ListCursor } from '../tables/manifest-list.ts';
import { readHeads } from './reading.ts';
import { type Snapshots, TURN_ITEMS } from './snapshots.ts';

/** What every manifest references and occupies, each in one snapshot. */
export async function* surveyManifests(
  snapshots: Snapshots,
  signal: AbortSignal | undefined,
): AsyncGenerator<ManifestSurvey, void, undefined> {
  for (const kind of MANIFEST_KINDS) {
    const heads = snapshots.pages<ManifestHead, ListCursor>(signal, (index, cursor) =>
      readHeads(index, kind, {}, cursor),
    );
    for await (const batch of batchesOf(heads, { count: TURN_ITEMS })) {
      const keys = batch.map(({ key }) => key);
      const surveys = await snapshots.each(keys, signal, surveyManifest);
      yield* surveys.filter((survey) => survey !== undefined);
    }
  }
}

/** `undefined` when the manifest is gone. What is damaged counts as nothing. */
function surveyManifest(index: LocalIndex, key: ManifestKey): ManifestSurvey | undefined {
  const row = index.manifests.find(key);
  if (row === undefined) return undefined;
  let bodyBytes = 0;
  let bodyStoredBytes = 0;
  const entriesOf = new Map<number, number>();
  const usesOf = new Map<number, number>();
  for (const id of index.manifests.bodies(row)) {
    const entry = unlessDamaged(() => {
      const { body, segments } = index.body(id, key);
      const place = index.records.locate(BODIES, id);
      return { body, segments, stored: place === undefined ? 0 : storedShare(place) };
    });
    if (entry === undefined) continue;
    bodyBytes += entry.body.length;
    bodyStoredBytes += entry.stored;
    for (const record of entry.segments) usesOf.set(record, (usesOf.get(record) ?? 0) + 1);
    for (const record of new Set(entry.segments))
      entriesOf.set(record, (entriesOf.get(record) ?? 0) + 1);
  }
  const segments = [...entriesOf].flatMap(([record, entries]) => {
    const uses = usesOf.get(record) as number;
    return unlessDamaged(() => surveySegment(index, record, entries, uses)) ?? [];
  });
  return { head: index.manifests.head(row), bodyBytes, bodyStoredBytes, segments };
}

function surveySegment(
  index: LocalIndex,
  record: number,
  entries: number,
  uses: number,
): SurveyedSegment | undefined {
  const place = index.records.locate(SEGMENTS, record);
  if (place === undefined) return undefined;
  const { directory, slot } = place;
  const isTokens = directory.isTokens(slot);
  const references = Math.max(entries, index.ledger.count(SEGMENTS, record));
  return {
    address: directory.address(slot),
    encoding: isTokens ? 'tokens' : 'bytes',
    length: isTokens ? countTokens(index.records.stored(place)) * 4 : directory.storedLength(slot),
    storedBytes: storedShare(place),
    references,
    share: entries / references,
    uses,
  };
}

/** A record's share of its compressed block, in proportion to its raw size. */
function storedShare({ block, directory, slot }: RecordPlace): number {
  const raw = directory.offsets[directory.records] ?? 0;
  return raw === 0 ? 0 : (block.length * directory.storedLength(slot)) / raw;
}

/**
 * Rethrows the error of a vanished pack, because it was rewritten: the caller reads all again in a
 * new snapshot.
 */
function unlessDamaged<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    if (!isUnreadable(error) || error instanceof PackVanished) throw error;
    return undefined;
  }
}
