import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { isUnreadable, isVarveError, VarveError } from '../../../core/errors.ts';
import { manifestObjectKey } from '../format/keys.ts';
import {
  type DroppedReference,
  type HeldReference,
  heldOf,
  type ManifestRecord,
  pagesOf,
} from '../format/manifest-record.ts';
import type { PageContent } from '../format/page.ts';
import { type ManifestTable, NOTHING_SEEN, type SeenRecord } from './manifest-table.ts';
import type { PageTable } from './page-table.ts';

/** The tables that records and their pages are read from. */
export interface RecordTables {
  readonly manifests: Pick<ManifestTable, 'readObject'>;
  readonly pages: PageTable;
}

/** What a record references, with all that its pages reference. */
export interface RecordReferences {
  /** The pages of the content, those of entries first. */
  readonly pages: readonly PageContent[];
  readonly committed: readonly HeldReference[];
  /** Of attempts under way. */
  readonly announced: readonly DroppedReference[];
  /** On their way out of the sidecars. */
  readonly dropped: readonly DroppedReference[];
}

/** A record and what it references, of one moment. */
export interface SeenReferences extends RecordReferences {
  readonly seen: SeenRecord;
}

/** What an object that is not there references. */
export const NOTHING_REFERENCED: SeenReferences = {
  seen: NOTHING_SEEN,
  pages: [],
  committed: [],
  announced: [],
  dropped: [],
};

/**
 * Everything that a record references (rule `read-pages`): who asks it, asks here.
 *
 * @throws `NOT_FOUND` when a page is not stored; `CORRUPT`, `UNSUPPORTED_FORMAT`.
 */
async function referencesOf(
  { pages }: Pick<RecordTables, 'pages'>,
  { key, current, pending, dropped }: ManifestRecord,
): Promise<RecordReferences> {
  const objectKey = manifestObjectKey(key);
  const contents = current && (await pages.readAll(objectKey, current, pagesOf(current)));
  return {
    pages: contents ?? [],
    committed: [
      ...(current === undefined ? [] : heldOf(current.references)),
      ...(contents ?? []).flatMap(({ references }) => references),
    ],
    announced: pending.flatMap(({ attempt, adds }) =>
      adds.map((address) => ({ address, attempt })),
    ),
    dropped: [...dropped, ...(await withPages({ pages }, objectKey, dropped))],
  };
}

/**
 * The references that go with dropped pages. A page that is lost or damaged has none: nothing can
 * commit what it referenced, so an audit finds these references leaked.
 *
 * @throws `UNSUPPORTED_FORMAT` for a page that a newer Varve wrote.
 */
export async function withPages(
  { pages }: Pick<RecordTables, 'pages'>,
  objectKey: string,
  dropped: readonly DroppedReference[],
): Promise<DroppedReference[]> {
  const children = await mapAll(dropped, async ({ address, page }) => {
    if (page === undefined) return [];
    try {
      return (await pages.read(objectKey, address, page)).references;
    } catch (error) {
      if (isVarveError(error, 'NOT_FOUND') || isVarveError(error, 'CORRUPT')) return [];
      throw error;
    }
  });
  return children.flat().map(({ address, attempt }) => ({ address, attempt }));
}

/**
 * Reads a manifest's record and everything that it references.
 *
 * @throws `CORRUPT` when the record or a page of it is damaged or lost; `UNSUPPORTED_FORMAT`.
 */
export async function readReferences(
  tables: RecordTables,
  objectKey: string,
): Promise<SeenReferences> {
  for (let seen = await tables.manifests.readObject(objectKey); ; ) {
    if (seen.record === undefined) return NOTHING_REFERENCED;
    try {
      return { seen, ...(await referencesOf(tables, seen.record)) };
    } catch (error) {
      if (!isVarveError(error, 'NOT_FOUND') && !isUnreadable(error)) throw error;
      // A page is gone because the manifest has changed, or it is lost (rule
      // `reread-before-corruption`).
      const now = await tables.manifests.readObject(objectKey);
      if (now.etag === seen.etag) throw lostPage(error);
      seen = now;
    }
  }
}

/** The error for a page that its manifest still has, and that is not stored. */
export function lostPage(error: VarveError): VarveError {
  if (!isVarveError(error, 'NOT_FOUND')) return error;
  return new VarveError('CORRUPT', error.message, { cause: error });
}

/** Whether the committed content has the reference. */
export function holds(
  { committed }: RecordReferences,
  wanted: { readonly address: Address; readonly attempt: string },
): HeldReference | undefined {
  return committed.find(
    ({ address, attempt }) => address === wanted.address && attempt === wanted.attempt,
  );
}
