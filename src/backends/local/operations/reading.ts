import { countTokens } from '../../../cas/codec/token-codec.ts';
import type { Address } from '../../../core/address.ts';
import { VarveError } from '../../../core/errors.ts';
import { ownCopy } from '../../../core/own-copy.ts';
import type {
  ListFilter,
  Locator,
  ManifestHead,
  ManifestKey,
  ManifestKind,
  ReadManifestOptions,
  SegmentDescription,
  StoredManifest,
} from '../../contract/manifests.ts';
import { SEGMENTS, SWEPT } from '../format/schema.ts';
import type { RecordPlace } from '../packs/record-store.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import { type ListCursor, listPage } from '../tables/manifest-list.ts';
import type { Page } from './snapshots.ts';

/** What a backend reads, each in one snapshot of the index. */

export function readManifest(
  index: LocalIndex,
  key: ManifestKey,
  wanted: ReadManifestOptions['entries'],
): StoredManifest | undefined {
  const row = index.manifests.find(key);
  if (row === undefined) return undefined;
  const entries = index.manifests.bodies(row, wanted === 'newest').map((id) => {
    const { segments, body } = index.body(id, key);
    return { body: ownCopy(body), segments: segments as unknown as Locator[] };
  });
  return { ...index.manifests.head(row), entries };
}

export function readHead(index: LocalIndex, key: ManifestKey): ManifestHead | undefined {
  const row = index.manifests.find(key);
  return row === undefined ? undefined : index.manifests.head(row);
}

/** The heads of a listing after `cursor`. */
export function readHeads(
  index: LocalIndex,
  kind: ManifestKind,
  filter: ListFilter,
  cursor: ListCursor | undefined,
): Page<ManifestHead, ListCursor> {
  const { rows, next } = listPage(index, kind, filter, cursor);
  return { items: rows.map((row) => index.manifests.head(row)), next };
}

/** @throws `NOT_FOUND` when it was collected; `CORRUPT`. */
export function fetchSegment(index: LocalIndex, locator: Locator): Uint8Array {
  const place = placeOf(index, locator);
  const bytes = index.records.segment(place);
  // Token ids are unpacked for each reader; other bytes are part of a block that stays in memory.
  return place.directory.isTokens(place.slot) ? bytes : ownCopy(bytes);
}

/** @throws `NOT_FOUND` when it was collected; `CORRUPT`. */
export function describeSegment(index: LocalIndex, locator: Locator): SegmentDescription {
  const place = placeOf(index, locator);
  const { directory, slot } = place;
  const isTokens = directory.isTokens(slot);
  return {
    address: directory.address(slot),
    encoding: isTokens ? 'tokens' : 'bytes',
    length: isTokens ? countTokens(index.records.stored(place)) * 4 : directory.storedLength(slot),
    references: index.ledger.count(SEGMENTS, Number(locator)),
  };
}

/** @throws `NOT_FOUND` when it was collected. */
export function addressOf(index: LocalIndex, locator: Locator): Address {
  const { directory, slot } = placeOf(index, locator);
  return directory.address(slot);
}

export function findSegment(index: LocalIndex, address: Address): Locator | undefined {
  return index.segments.find(address) as Locator | undefined;
}

function placeOf(index: LocalIndex, locator: Locator): RecordPlace {
  const record = typeof locator === 'number' ? locator : Number.NaN;
  const place = index.records.locate(SEGMENTS, record);
  if (place === undefined || index.ledger.count(SEGMENTS, record) === SWEPT) {
    throw new VarveError('NOT_FOUND', `segment record ${record} is not stored any more`);
  }
  return place;
}
