import { mapAll } from '../../../core/concurrency.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { ManifestKind } from '../../contract/manifests.ts';
import { deleteAll } from '../../storage/delete-all.ts';
import type { Run } from '../format/head-catalog.ts';
import { PAGE_ROWS } from '../format/head-page.ts';
import { type HeadVersion, newestVersions, type Place, versionAt } from '../format/head-version.ts';
import { manifestObjectKey } from '../format/keys.ts';
import { walkRecords } from '../listing/manifest-walk.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import { accessOf, type HeadTables } from './compaction.ts';
import type { SeenCatalog } from './head-catalogs.ts';
import { candidates } from './head-view.ts';
import { IndexMoved } from './index-moved.ts';
import { planWhole } from './merge-policy.ts';
import { mergeIntoRun, writeRun } from './write-runs.ts';

/** Versions that are sorted in memory. */
const SORTED_ROWS = 16 * PAGE_ROWS;

/** A journal that cannot be read goes when it is this old, in ms. */
const UNREADABLE_MS = 15 * 60 * 1000;

/**
 * Writes the pages of a kind again from the manifests themselves, and names them in a new catalog.
 * Meanwhile no compaction swaps the catalog, so no journal goes: what is committed behind the walk
 * is named by its journal, and all else by the pages. Returns `false` when another process has
 * begun to rebuild since.
 */
export async function rebuildHeads(
  tables: HeadTables,
  kind: ManifestKind,
  signal?: AbortSignal,
): Promise<boolean> {
  const { catalogs, protocol } = tables;
  const before = await readOrNothing(tables, kind);
  const now = protocol.serverClock.latest();
  const { runs, retired } = before;
  if (!(await catalogs.swap(kind, before, { runs, retired, rebuiltSince: now }))) return false;
  const begun = await catalogs.read(kind);
  const journaled = await readJournals(tables, kind);
  const written: string[] = [];
  const pages = accessOf(tables, kind, written);
  const sorted: Run[] = [];
  let unsorted: HeadVersion[] = [];
  const sort = async () => {
    sorted.push(await writeRun(pages, [newestVersions(unsorted)]));
    unsorted = [];
  };
  const unreadable = new Set<string>();
  for await (const batch of versionsOfManifests(tables, kind, journaled, unreadable, signal)) {
    unsorted.push(...batch);
    if (unsorted.length >= SORTED_ROWS) await sort();
  }
  // Nothing else is known of what cannot be read now.
  unsorted.push(...(await knownOf(tables, kind, unreadable)));
  if (unsorted.length > 0) await sort();
  const run =
    sorted.length > 1 ? await mergeIntoRun(pages, planWhole(sorted), undefined) : sorted[0];
  const replaced = runs.flat().map(({ key }) => ({ key, since: now }));
  const content = { runs: run === undefined ? [] : [run], retired: [...retired, ...replaced] };
  const isDone = await catalogs.swap(kind, begun, content);
  const kept = new Set(isDone ? run?.map(({ key }) => key) : []);
  await deleteAll(
    protocol.store,
    written.filter((key) => !kept.has(key)),
  );
  return isDone;
}

/** A catalog that cannot be read names nothing, and is replaced. */
async function readOrNothing(tables: HeadTables, kind: ManifestKind): Promise<SeenCatalog> {
  const seen = await unlessUnreadable(tables.catalogs.read(kind));
  return seen ?? { runs: [], retired: [], etag: await tables.catalogs.tag(kind) };
}

/** By id, the places that journals name: a version that comes from there later is older. */
async function readJournals(
  { journals, protocol }: HeadTables,
  kind: ManifestKind,
): Promise<Map<string, Place[]>> {
  const places = new Map<string, Place[]>();
  await mapAll(await journals.list(kind), async ({ key, lastModified }) => {
    const entries = await unlessUnreadable(journals.read(key).then((read) => read ?? []));
    if (entries === undefined) {
      const age = protocol.serverClock.earliest() - lastModified;
      if (age > UNREADABLE_MS) await protocol.store.delete([key]);
    }
    for (const { id, places: named } of entries ?? []) {
      const known = places.get(id) ?? [];
      places.set(id, [...known, ...named.map(({ archived }) => ({ id, archived }))]);
    }
  });
  return places;
}

/** The versions that each manifest's object has; adds the keys of unreadable ones. */
async function* versionsOfManifests(
  { protocol }: HeadTables,
  kind: ManifestKind,
  journaled: ReadonlyMap<string, readonly Place[]>,
  unreadable: Set<string>,
  signal: AbortSignal | undefined,
): AsyncGenerator<HeadVersion[], void, undefined> {
  for await (const { object, seen, error } of walkRecords(protocol, kind, signal)) {
    if (error !== undefined) unreadable.add(object.key);
    const { record } = seen;
    if (record === undefined) continue;
    const { id } = record.key;
    const places = (journaled.get(id) ?? []).map(({ archived }) => archived);
    if (record.current !== undefined) places.push(record.current.archived);
    yield places.map((archived) => versionAt(id, archived, record));
  }
}

/** What pages have of manifests that cannot be read. */
async function knownOf(
  tables: HeadTables,
  kind: ManifestKind,
  objectKeys: ReadonlySet<string>,
): Promise<HeadVersion[]> {
  const known: HeadVersion[] = [];
  if (objectKeys.size === 0) return known;
  try {
    for await (const batch of candidates(tables, kind))
      for (const { id, version } of batch)
        if (version !== undefined && objectKeys.has(manifestObjectKey({ kind, id })))
          known.push(version);
  } catch (error) {
    if (!isUnreadable(error) && !(error instanceof IndexMoved)) throw error;
  }
  return known;
}
