import type { PageSummary, Run } from '../format/head-catalog.ts';
import { PAGE_ROWS } from '../format/head-page.ts';
import { compareArchived } from '../format/head-version.ts';
import type { ArchivedAt } from '../format/manifest-record.ts';

/** This many runs of one tier are merged. */
const TIER_RUNS = 8;

/** Each tier has runs of this many times the versions of the one below it. */
const TIER_FACTOR = 8;

/** The largest run is merged with the others when they overlap it with this share of its rows. */
const WORTHWHILE_OVERLAP = 1 / 4;

/** Runs to merge into one, and those that stay. */
export interface MergePlan {
  readonly merged: readonly Run[];
  readonly others: readonly Run[];
  /** The groups of pages of those to merge. */
  readonly groups: readonly PageGroup[];
}

/**
 * Chooses runs to merge: size tiers, so that each version is rewritten a number of times that grows
 * with the logarithm of their number; and all runs once those that overlap the largest one are a
 * quarter of its size, so that updates and tombstones do not pile up beside what they replace.
 *
 * @param most rows that may be rewritten.
 */
export function planMerge(
  runs: readonly Run[],
  most = Number.POSITIVE_INFINITY,
): MergePlan | undefined {
  if (runs.length < 2) return undefined;
  const bySize = [...runs].sort((a, b) => rowsOf(a) - rowsOf(b));
  for (const merged of [...overlapping(bySize), ...tiers(bySize)]) {
    const groups = groupPages(merged);
    if (rewrittenRows({ groups }) > most) continue;
    return { merged, others: runs.filter((run) => !merged.includes(run)), groups };
  }
  return undefined;
}

/** A plan that rewrites every page. */
export function planWhole(runs: readonly Run[]): MergePlan {
  return { merged: runs, others: [], groups: [{ pages: runs.flat(), isKept: false }] };
}

/** The rows that a plan rewrites. */
export function rewrittenRows({ groups }: Pick<MergePlan, 'groups'>): number {
  return groups.reduce((sum, { isKept, pages }) => sum + (isKept ? 0 : rowsOf(pages)), 0);
}

function rowsOf(run: Run): number {
  return run.reduce((sum, { rows }) => sum + rows, 0);
}

/** Pages that overlap, directly or through others: what is rewritten together. */
export interface PageGroup {
  readonly pages: readonly PageSummary[];
  /** It stays as it is: its page is alone and at least half full. */
  readonly isKept: boolean;
}

/** The pages of runs in groups, in the order of their places. */
function groupPages(runs: readonly Run[]): PageGroup[] {
  const pages = runs.flat().sort((a, b) => compareArchived(a.first, b.first));
  const groups: PageSummary[][] = [];
  let last: PageSummary['last'] | undefined;
  for (const page of pages) {
    const group = groups.at(-1);
    if (group === undefined || last === undefined || compareArchived(page.first, last) > 0) {
      groups.push([page]);
      last = page.last;
    } else {
      group.push(page);
      if (compareArchived(page.last, last) > 0) last = page.last;
    }
  }
  const joined: PageGroup[] = [];
  for (const group of groups) {
    const isKept = group.length === 1 && isWorthKeeping(group[0] as PageSummary);
    const before = joined.at(-1);
    if (isKept || before === undefined || before.isKept) joined.push({ pages: group, isKept });
    else joined.splice(-1, 1, { pages: [...before.pages, ...group], isKept });
  }
  return joined.map((group) => (group.pages.length === 1 ? { ...group, isKept: true } : group));
}

/** Whether any page of these runs may have a version of a place. */
export function mayHave(runs: readonly Run[], archived: ArchivedAt): boolean {
  return runs.some((run) => overlaps(run, archived, archived));
}

/** Whether a page of a run may have places between these two, both included. */
function overlaps(run: Run, first: ArchivedAt, last: ArchivedAt): boolean {
  // The first page that does not end before.
  let [low, high] = [0, run.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareArchived((run[middle] as PageSummary).last, first) < 0) low = middle + 1;
    else high = middle;
  }
  const page = run[low];
  return page !== undefined && compareArchived(page.first, last) <= 0;
}

function isWorthKeeping({ rows, tombstones }: PageSummary): boolean {
  return rows >= PAGE_ROWS / 2 && 4 * tombstones < rows;
}

function overlapping(bySize: readonly Run[]): (readonly Run[])[] {
  const largest = bySize.at(-1) as Run;
  const rest = bySize.slice(0, -1);
  let overlap = 0;
  for (const page of rest.flat())
    if (overlaps(largest, page.first, page.last)) overlap += page.rows;
  if (overlap < Math.max(PAGE_ROWS, rowsOf(largest) * WORTHWHILE_OVERLAP)) return [];
  return [bySize];
}

/** The lowest tier with enough runs, with all below it; then higher ones. */
function tiers(bySize: readonly Run[]): (readonly Run[])[] {
  const tierOf = (run: Run) =>
    Math.floor(Math.log(Math.max(1, rowsOf(run))) / Math.log(TIER_FACTOR));
  const counts = new Map<number, number>();
  for (const run of bySize) counts.set(tierOf(run), (counts.get(tierOf(run)) ?? 0) + 1);
  return [...counts]
    .filter(([, count]) => count >= TIER_RUNS)
    .sort(([a], [b]) => a - b)
    .map(([tier]) => bySize.filter((run) => tierOf(run) <= tier));
}
