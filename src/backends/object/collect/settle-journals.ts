import { abortOf } from '../../../core/abort.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { MANIFEST_KINDS, type ManifestKind } from '../../contract/manifests.ts';
import { listObjects } from '../../storage/listing.ts';
import type { ListedObject } from '../../storage/object-store.ts';
import { isStale } from '../commit/reap.ts';
import { isSettled, type JournalEntry } from '../format/head-journal.ts';
import { JOURNALS_PREFIX, journalsPrefix, manifestObjectKey } from '../format/keys.ts';
import type { SettleEntry } from '../heads/compaction.ts';
import { sweepPages } from '../heads/sweep-pages.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import type { CollectRun } from './collect-run.ts';
import { finishWriter } from './crashed-writers.ts';

/** Journals that are younger, in ms, are likely to be of changes under way. */
const YOUNG_MS = 60 * 1000;

/** A compaction never takes this long, in ms. */
const STRAY_MS = 24 * 60 * 60 * 1000;

/** A change that has not come within this time, in ms, is not awaited any longer. */
const OVERDUE_MS = 15 * 60 * 1000;

/**
 * Finishes what the writers of journals began before they died, and brings the journals to pages.
 * An everyday run takes journals that are not young, a full run all of them.
 */
export async function settleJournals(run: CollectRun): Promise<void> {
  const { heads, scope } = run;
  if (heads.state === 'none' || scope.isOver()) return;
  if (scope.full && !scope.dryRun)
    for (const kind of MANIFEST_KINDS) await sweepPages(heads.tables, kind, STRAY_MS);
  const journals = await dueJournals(run);
  for (const kind of MANIFEST_KINDS) {
    const due = journals.filter(({ key }) => key.startsWith(journalsPrefix(kind)));
    if (due.length === 0) continue;
    if (scope.dryRun) await foresee(run, kind, due);
    else {
      await heads.compact(kind, {
        takes: (ageMs) => scope.full || ageMs > YOUNG_MS,
        settle: settling(run, kind),
        rewrites: Number.POSITIVE_INFINITY,
      });
    }
  }
}

/** Writes all pages again without what was deleted, and deletes whatever else there is of them. */
export async function eraseHeads(run: CollectRun): Promise<void> {
  const { heads } = run;
  if (heads.state === 'none') return;
  for (const kind of MANIFEST_KINDS) {
    await heads.compact(kind, {
      takes: () => true,
      settle: settling(run, kind),
      isWhole: true,
    });
    await sweepPages(heads.tables, kind, 0);
  }
}

async function dueJournals({ protocol, scope }: CollectRun): Promise<ListedObject[]> {
  const due: ListedObject[] = [];
  for await (const journal of listObjects(protocol, JOURNALS_PREFIX, abortOf(scope.signal))) {
    const age = protocol.serverClock.earliest() - journal.lastModified;
    if (scope.full || age > YOUNG_MS) due.push(journal);
  }
  return due;
}

/**
 * Ends what a dead writer left: fences its attempt, or replaces the body that a late request would
 * replace (rule `fence-before-dropping`).
 */
function settling(run: CollectRun, kind: ManifestKind): SettleEntry {
  const { protocol, scope, tally } = run;
  return async (entry, seen, ageMs) => {
    const key = { kind, id: entry.id };
    const isOurs = scope.hasObject(manifestObjectKey(key));
    if (!isOurs || (!scope.full && ageMs <= OVERDUE_MS)) return seen;
    if (hasAttempt(entry, seen)) {
      if (!isStale(protocol, seen)) return seen;
      tally.abandoned++;
      await finishWriter(run, seen);
      return protocol.manifests.read(key);
    }
    if (ageMs <= OVERDUE_MS) return seen;
    const { current, pending = [], dropped = [] } = seen.record ?? {};
    const swapped = await protocol.manifests.swap(key, seen, { current, pending, dropped });
    return swapped.seen;
  };
}

/** In a dry run: notes what a run would drop. */
async function foresee(
  run: CollectRun,
  kind: ManifestKind,
  journals: readonly ListedObject[],
): Promise<void> {
  const { protocol, heads, scope, tally } = run;
  await mapAll(journals, async ({ key, lastModified }) => {
    const age = protocol.serverClock.earliest() - lastModified;
    if (!scope.full && age <= OVERDUE_MS) return;
    const entries = (await unlessUnreadable(heads.tables.journals.read(key))) ?? [];
    for (const entry of entries) {
      const manifest = { kind, id: entry.id };
      if (!scope.hasObject(manifestObjectKey(manifest))) continue;
      const seen = await unlessUnreadable(protocol.manifests.read(manifest));
      if (seen === undefined || isSettled(entry, seen.record) || !hasAttempt(entry, seen)) continue;
      if (run.foreseen.hasTouched(manifest) || !isStale(protocol, seen)) continue;
      tally.abandoned++;
      await finishWriter(run, seen);
    }
  });
}

function hasAttempt({ attempt }: JournalEntry, { record }: SeenRecord): boolean {
  return record?.pending.some((each) => each.attempt === attempt) ?? false;
}
