import type { PageSummary, Run } from '../format/head-catalog.ts';
import { PAGE_ROWS } from '../format/head-page.ts';
import type { HeadVersion } from '../format/head-version.ts';
import { type MergePlan, mayHave } from './merge-policy.ts';
import { mergeRuns, type ReadPage } from './merge-runs.ts';

/** Versions, in the order of places, in batches. */
type Versions = Iterable<readonly HeadVersion[]> | AsyncIterable<readonly HeadVersion[]>;

/** Reads pages, and stores new ones. */
export interface PageAccess {
  readonly read: ReadPage;
  readonly write: (versions: readonly HeadVersion[]) => Promise<PageSummary>;
}

/** Stores versions on pages. */
export async function writeRun(
  { write }: Pick<PageAccess, 'write'>,
  versions: Versions,
): Promise<PageSummary[]> {
  const written: PageSummary[] = [];
  let rows: HeadVersion[] = [];
  for await (const batch of versions) {
    for (const version of batch) rows.push(version);
    while (rows.length >= PAGE_ROWS) {
      written.push(await write(rows.slice(0, PAGE_ROWS)));
      rows = rows.slice(PAGE_ROWS);
    }
  }
  if (rows.length > 0) written.push(await write(rows));
  return written;
}

/**
 * Merges runs into one; pages that overlap no others stay as they are. A tombstone is dropped where
 * no other page and no journal may have an older version of its place.
 *
 * @param journaled the ids that journals name which are not merged here; `undefined`: unknown.
 */
export async function mergeIntoRun(
  pages: PageAccess,
  { merged, others, groups }: MergePlan,
  journaled: ReadonlySet<string> | undefined,
): Promise<Run> {
  const run: PageSummary[] = [];
  const isDropped = ({ id, archived, head }: HeadVersion) =>
    head === undefined &&
    journaled !== undefined &&
    !journaled.has(id) &&
    !mayHave(others, archived);
  for (const group of groups) {
    if (group.isKept) {
      run.push(...group.pages);
      continue;
    }
    const inGroup = new Set(group.pages);
    const parts = merged
      .map((each) => each.filter((page) => inGroup.has(page)))
      .filter((each) => each.length > 0);
    const kept = keeping(mergeRuns(parts, pages.read), isDropped);
    run.push(...(await writeRun(pages, kept)));
  }
  return run;
}

async function* keeping(
  batches: AsyncIterable<readonly HeadVersion[]>,
  isDropped: (version: HeadVersion) => boolean,
): AsyncGenerator<HeadVersion[], void, undefined> {
  for await (const batch of batches) yield batch.filter((version) => !isDropped(version));
}
