import { mapAll } from '../../../core/concurrency.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { ManifestKind } from '../../contract/manifests.ts';
import { deleteAll } from '../../storage/delete-all.ts';
import type { ListedObject } from '../../storage/object-store.ts';
import type { RetiredPage, Run } from '../format/head-catalog.ts';
import { isSettled, type JournalEntry } from '../format/head-journal.ts';
import { PAGE_ROWS } from '../format/head-page.ts';
import { type HeadVersion, newestVersions, versionAt } from '../format/head-version.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import type { Protocol } from '../tables/protocol.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import type { HeadCatalogs, SeenCatalog } from './head-catalogs.ts';
import type { HeadJournals } from './head-journals.ts';
import type { HeadPages } from './head-pages.ts';
import type { HeadsMemory } from './heads-memory.ts';
import { IndexMoved } from './index-moved.ts';
import { planMerge, planWhole, rewrittenRows } from './merge-policy.ts';
import { mergeIntoRun, type PageAccess, writeRun } from './write-runs.ts';

/** The stored parts of the lists. */
export interface HeadTables {
  readonly protocol: Protocol;
  readonly journals: HeadJournals;
  readonly pages: HeadPages;
  readonly catalogs: HeadCatalogs;
  readonly memory: HeadsMemory;
}

/** Ends a journaled change. Returns the record after that. */
export type SettleEntry = (
  entry: JournalEntry,
  seen: SeenRecord,
  ageMs: number,
) => Promise<SeenRecord>;

export interface CompactionOptions {
  /**
   * Whether to take a journal of another process, by its age in ms, its bytes, and the number of
   * journals that are stored. Default: none.
   */
  readonly takes?: (ageMs: number, bytes: number, stored: number) => boolean;
  /**
   * Ends changes of those journals that are not settled. Default: they stay, and so does their
   * journal.
   */
  readonly settle?: SettleEntry;
  /** Most rows that are rewritten. Default: what a writer may do besides its work. */
  readonly rewrites?: number;
  /**
   * Whether to rewrite everything, so that nothing is left of what was deleted: pages without
   * tombstones, and journals without what is settled. Default: false.
   */
  readonly isWhole?: boolean;
}

/** Most rows that a writer rewrites besides its work. */
const REWRITES_OF_WRITER = 16 * PAGE_ROWS;

/** How long pages stay after they were replaced, in ms: for lists that read them. */
const RETIRED_MS = 60 * 60 * 1000;

/** A process that has not rebuilt pages within this time, in ms, has died. */
const REBUILD_MS = 24 * 60 * 60 * 1000;

/** Tries before the compaction is left to somebody else: others swap the catalog. */
const TRIES = 4;

/** What the journals say that a compaction takes. */
interface Taken {
  /** Keys of the journals of which everything is settled. */
  readonly journals: readonly string[];
  readonly versions: readonly HeadVersion[];
  /** Journals that stay. */
  readonly others: readonly ListedObject[];
}

/**
 * Brings what journals announce to pages, and merges pages. The order of its requests is what keeps
 * lists complete (rules `journal-before-change` and `page-before-journal-goes`):
 *
 * 1. It reads the catalog, *then* lists the journals: it takes only what it finds there, so that
 *    nothing comes back that a compaction before it has dropped.
 * 2. It stores new pages.
 * 3. It swaps the very catalog that it has read.
 * 4. Then it deletes the journals, and the pages that the new catalog lacks.
 *
 * Returns the number of journals that it took; `undefined` when others kept swapping the catalog,
 * or something cannot be read. Pages that it has stored by then are swept by a full collection.
 */
export async function compact(
  tables: HeadTables,
  kind: ManifestKind,
  options: CompactionOptions = {},
): Promise<number | undefined> {
  for (let tries = 0; tries < TRIES; tries++) {
    try {
      const taken = await compactOnce(tables, kind, options);
      if (taken !== undefined) return taken;
    } catch (error) {
      // An audit reports what cannot be read, and lists do without it.
      if (isUnreadable(error)) return undefined;
      if (!(error instanceof IndexMoved)) throw error;
    }
  }
  return undefined;
}

async function compactOnce(
  tables: HeadTables,
  kind: ManifestKind,
  options: CompactionOptions,
): Promise<number | undefined> {
  const { catalogs, journals, memory, protocol } = tables;
  const before = await catalogs.read(kind);
  if (before.etag === undefined) {
    // Pages without a catalog would look as if it was lost.
    await catalogs.swap(kind, before, { runs: [], retired: [] });
    return undefined;
  }
  if (isRebuilt(before, protocol.serverClock.earliest())) return 0;
  const taken = await takeJournals(tables, kind, await journals.list(kind), options);
  const written: string[] = [];
  const pages = accessOf(tables, kind, written);
  const added = await writeRun(pages, [newestVersions(taken.versions)]);
  const runs = added.length === 0 ? before.runs : [...before.runs, added];
  const after = await mergeThem(pages, runs, () => namedBy(tables, taken.others), options);
  const now = protocol.serverClock.latest();
  const kept = new Set(after.flat().map(({ key }) => key));
  const retired = [
    ...before.retired,
    ...before.runs.flat().flatMap(({ key }) => (kept.has(key) ? [] : [{ key, since: now }])),
  ];
  const keeps = ({ since }: RetiredPage) => !options.isWhole && now - since < RETIRED_MS;
  const isChanged = after !== before.runs || !retired.every(keeps);
  const content = { runs: after, retired: retired.filter(keeps) };
  if (isChanged && !(await catalogs.swap(kind, before, content))) {
    await deleteAll(protocol.store, written);
    return undefined;
  }
  for (const key of taken.journals) memory.settledOf(kind).delete(key);
  const passing = written.filter((key) => !kept.has(key));
  const gone = retired.filter((page) => !keeps(page)).map(({ key }) => key);
  await deleteAll(protocol.store, [...taken.journals, ...passing, ...gone]);
  return taken.journals.length;
}

/** Whether a process rebuilds the pages of a catalog. */
export function isRebuilt({ rebuiltSince }: SeenCatalog, now: number): boolean {
  return rebuiltSince !== undefined && now - rebuiltSince < REBUILD_MS;
}

export function accessOf({ pages }: HeadTables, kind: ManifestKind, written: string[]): PageAccess {
  return {
    read: (key) => pages.read(key),
    write: async (versions) => {
      const page = await pages.write(kind, versions);
      written.push(page.key);
      return page;
    },
  };
}

async function takeJournals(
  tables: HeadTables,
  kind: ManifestKind,
  stored: readonly ListedObject[],
  options: CompactionOptions,
): Promise<Taken> {
  const { protocol, memory } = tables;
  const { takes = () => false } = options;
  const own = memory.settledOf(kind);
  // Somebody else has taken what is not stored any more.
  const listed = new Set(stored.map(({ key }) => key));
  for (const key of own.keys()) if (!listed.has(key)) own.delete(key);
  const now = protocol.serverClock.earliest();
  const taken = await mapAll(stored, async (journal) => {
    const known = own.get(journal.key);
    if (known !== undefined) return { journal, versions: known };
    const age = now - journal.lastModified;
    if (!takes(age, journal.size, stored.length)) return { journal };
    return { journal, versions: await versionsOf(tables, kind, journal.key, age, options) };
  });
  return {
    journals: taken.flatMap(({ journal, versions }) => (versions ? [journal.key] : [])),
    versions: taken.flatMap(({ versions = [] }) => versions),
    others: taken.flatMap(({ journal, versions }) => (versions ? [] : [journal])),
  };
}

/**
 * What came of the changes that a journal announces; `undefined` while one is not settled. Where
 * everything is rewritten, another journal takes those that are not; it sorts after the first one,
 * so that a LIST of many journals finds one of the two.
 */
async function versionsOf(
  { journals, protocol }: HeadTables,
  kind: ManifestKind,
  journal: string,
  ageMs: number,
  { settle, isWhole = false }: CompactionOptions,
): Promise<readonly HeadVersion[] | undefined> {
  const entries = await unlessUnreadable(journals.read(journal));
  if (entries === undefined) return undefined;
  const open: JournalEntry[] = [];
  const versions = await mapAll(entries, async (entry) => {
    let seen = await unlessUnreadable(protocol.manifests.read({ kind, id: entry.id }));
    if (seen !== undefined && settle !== undefined && !isSettled(entry, seen.record))
      seen = await settle(entry, seen, ageMs);
    if (seen !== undefined && isSettled(entry, seen.record)) return versionsOfEntry(entry, seen);
    open.push(entry);
    return [];
  });
  if (open.length > 0 && (!isWhole || open.length === entries.length)) return undefined;
  if (open.length > 0) await journals.rewrite(journal, open);
  return versions.flat();
}

/** What a manifest's object says of the places of an entry, and of the place where it is. */
export function versionsOfEntry(
  { id, places }: JournalEntry,
  { record }: SeenRecord,
): HeadVersion[] {
  const archived = places.map((place) => place.archived);
  if (record?.current !== undefined) archived.push(record.current.archived);
  return archived.map((each) => versionAt(id, each, record));
}

async function mergeThem(
  pages: PageAccess,
  runs: readonly Run[],
  namesOfOthers: () => Promise<ReadonlySet<string> | undefined>,
  { rewrites = REWRITES_OF_WRITER, isWhole = false }: CompactionOptions,
): Promise<readonly Run[]> {
  let now = runs;
  let rest = rewrites;
  const next = () =>
    isWhole && now === runs && runs.length > 0 ? planWhole(runs) : planMerge(now, rest);
  let names: Promise<ReadonlySet<string> | undefined> | undefined;
  for (let plan = next(); plan !== undefined; plan = next()) {
    names ??= namesOfOthers();
    rest -= rewrittenRows(plan);
    const run = await mergeIntoRun(pages, plan, await names);
    now = run.length === 0 ? plan.others : [...plan.others, run];
  }
  return now;
}

/** The ids that journals name; `undefined` when one of them cannot be read. */
async function namedBy(
  { journals }: HeadTables,
  listed: readonly ListedObject[],
): Promise<ReadonlySet<string> | undefined> {
  const names = new Set<string>();
  try {
    await mapAll(listed, async ({ key }) => {
      // One that is gone was taken by another compaction, which has swapped the catalog.
      for (const { id } of (await journals.read(key)) ?? []) names.add(id);
    });
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return undefined;
  }
  return names;
}
