import { abortOf, throwIfAborted } from '../../../core/abort.ts';
import { type AheadBounds, mapAhead } from '../../../core/concurrency.ts';
import { isUnreadable, type VarveError } from '../../../core/errors.ts';
import { MANIFEST_KINDS, type ManifestKind } from '../../contract/manifests.ts';
import { listObjects } from '../../storage/listing.ts';
import type { ListedObject } from '../../storage/object-store.ts';
import { manifestsPrefix } from '../format/keys.ts';
import { NOTHING_SEEN, type SeenRecord } from '../tables/manifest-table.ts';
import type { Protocol } from '../tables/protocol.ts';
import { NOTHING_REFERENCED, readReferences, type SeenReferences } from '../tables/references.ts';

/** How far walks over listed objects read ahead: twice the requests that are under way at most. */
export const READ_AHEAD: AheadBounds<Pick<ListedObject, 'size'>> = {
  count: 64,
  bytes: 32 * 1024 * 1024,
  bytesOf: ({ size }) => size,
};

/** A manifest's object as it was listed, and then read. */
export interface WalkedManifest {
  readonly object: ListedObject;
  /** What was read; nothing where the object is gone, or it or a page of it cannot be read. */
  readonly references: SeenReferences;
  /** Why it cannot be read. */
  readonly error?: VarveError;
}

/**
 * Reads every manifest of the store, tombstones included, by a LIST, and a GET for each and for
 * each of its pages: no index is asked (rule `hint-before-change`).
 */
export async function* walkManifests(
  protocol: Protocol,
  signal: AbortSignal | undefined,
): AsyncGenerator<WalkedManifest, void, undefined> {
  const read = async (object: ListedObject): Promise<WalkedManifest> => {
    throwIfAborted(signal);
    try {
      return { object, references: await readReferences(protocol, object.key) };
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return { object, references: NOTHING_REFERENCED, error };
    }
  };
  yield* mapAhead(listManifests(protocol, MANIFEST_KINDS, signal), READ_AHEAD, read);
}

/** A manifest's object as it was listed, and then read without its pages. */
export interface WalkedRecord {
  readonly object: ListedObject;
  /** What was read; nothing where the object is gone, or cannot be read. */
  readonly seen: SeenRecord;
  /** Why it cannot be read. */
  readonly error?: VarveError;
}

/** Reads every manifest of a kind, tombstones included, by a LIST and a GET each. */
export async function* walkRecords(
  protocol: Protocol,
  kind: ManifestKind,
  signal: AbortSignal | undefined,
): AsyncGenerator<WalkedRecord, void, undefined> {
  const read = async (object: ListedObject): Promise<WalkedRecord> => {
    throwIfAborted(signal);
    try {
      return { object, seen: await protocol.manifests.readObject(object.key) };
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return { object, seen: NOTHING_SEEN, error };
    }
  };
  yield* mapAhead(listManifests(protocol, [kind], signal), READ_AHEAD, read);
}

async function* listManifests(
  protocol: Protocol,
  kinds: readonly ManifestKind[],
  signal: AbortSignal | undefined,
): AsyncGenerator<ListedObject, void, undefined> {
  for (const kind of kinds) yield* listObjects(protocol, manifestsPrefix(kind), abortOf(signal));
}
