import type { ManifestHead, ManifestKey } from '../../contract/manifests.ts';
import { type ArchivedAt, headOfRecord, type ManifestRecord } from './manifest-record.ts';

/** What lists store of a manifest's head; the kind and the id are beside it. */
export type StoredHead = Omit<ManifestHead, 'key'>;

/** A place in a list: the order of archiving, then the id, which distinguishes ties. */
export interface Place {
  readonly archived: ArchivedAt;
  readonly id: string;
}

/**
 * What a manifest's object said of one place, as of one of its bodies. An id that is deleted and
 * put again has another place.
 */
export interface HeadVersion extends Place {
  /**
   * The number of the object's body: of two versions the one with the greater is newer (rule
   * `records-decide-lists`).
   */
  readonly seq: number;
  /** `undefined`: a tombstone. */
  readonly head: StoredHead | undefined;
}

export function comparePlaces(a: Place, b: Place): number {
  return compareArchived(a.archived, b.archived) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

export function compareArchived(a: ArchivedAt, b: ArchivedAt): number {
  return a[0] - b[0] || a[1] - b[1];
}

/** What a manifest's object says of a place. */
export function versionAt(
  id: string,
  archived: ArchivedAt,
  record: ManifestRecord | undefined,
): HeadVersion {
  const { key, seq = 0, current } = record ?? {};
  const isThere = current !== undefined && compareArchived(current.archived, archived) === 0;
  return { id, archived, seq, head: isThere ? storedHead(key as ManifestKey, current) : undefined };
}

export function storedHead(
  key: ManifestKey,
  content: Parameters<typeof headOfRecord>[1],
): StoredHead {
  const { key: _, ...head } = headOfRecord(key, content);
  return head;
}

/** The newest version of each place, in the order of places. */
export function newestVersions(versions: Iterable<HeadVersion>): HeadVersion[] {
  const newest: HeadVersion[] = [];
  for (const version of [...versions].sort((a, b) => comparePlaces(a, b) || a.seq - b.seq)) {
    const last = newest.at(-1);
    if (last !== undefined && comparePlaces(last, version) === 0) newest.pop();
    newest.push(version);
  }
  return newest;
}
