import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Revision } from '../../../src/backends/contract/manifests.ts';
import { type Run, summaryOf } from '../../../src/backends/object/format/head-catalog.ts';
import { HeadPage } from '../../../src/backends/object/format/head-page.ts';
import {
  comparePlaces,
  type HeadVersion,
  newestVersions,
} from '../../../src/backends/object/format/head-version.ts';
import { planMerge } from '../../../src/backends/object/heads/merge-policy.ts';
import { mergeRuns } from '../../../src/backends/object/heads/merge-runs.ts';
import { mergeIntoRun } from '../../../src/backends/object/heads/write-runs.ts';

/** Pages in memory, of few rows. */
class Pages {
  readonly stored = new Map<string, HeadPage>();

  readonly read = async (key: string) => this.stored.get(key) as HeadPage;

  readonly write = async (versions: readonly HeadVersion[]) => {
    const key = `heads/${this.stored.size}`;
    this.stored.set(key, HeadPage.decode(HeadPage.of(versions).encode(key), key));
    return summaryOf(key, versions);
  };

  async run(versions: readonly HeadVersion[], rows: number): Promise<Run> {
    const run = [];
    for (let start = 0; start < versions.length; start += rows)
      run.push(await this.write(versions.slice(start, start + rows)));
    return run;
  }
}

const versions = fc
  .array(
    fc.record({
      ms: fc.integer({ min: 0, max: 6 }),
      count: fc.integer({ min: 0, max: 1 }),
      id: fc.constantFrom('a', 'b'),
      seq: fc.integer({ min: 1, max: 9 }),
    }),
    { maxLength: 12 },
  )
  .map((drawn) =>
    // One body of a manifest says one thing.
    newestVersions(drawn.map(({ ms, count, id, seq }) => versionOf([ms, count], id, seq))),
  );

function versionOf(archived: [number, number], id: string, seq: number): HeadVersion {
  const head = {
    revision: `r${seq}` as Revision,
    createdAt: seq * 10,
    updatedAt: seq,
    logicalBytes: seq,
    entryCount: seq,
    ...(seq % 2 === 0 && { application: `app ${seq}`, expiresAt: seq }),
    ...(seq % 5 === 0 && { hold: { since: seq, reason: 'why' } }),
  };
  return { archived, id, seq, head: seq % 3 === 0 ? undefined : head };
}

async function merged(pages: Pages, runs: readonly Run[], after?: HeadVersion) {
  const all: HeadVersion[] = [];
  for await (const batch of mergeRuns(runs, pages.read, after)) all.push(...batch);
  return all;
}

const shown = (all: readonly HeadVersion[]) => all.filter(({ head }) => head !== undefined);

test('runs merge to the newest version of each place, in order, from any place on', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(versions, { maxLength: 6 }),
      fc.integer({ min: 1, max: 4 }),
      fc.nat(),
      async (given, rows, from) => {
        const pages = new Pages();
        const runs = await Promise.all(given.map((each) => pages.run(each, rows)));
        const expected = newestVersions(given.flat());
        expect(await merged(pages, runs)).toEqual(expected);
        const after = expected[from % Math.max(1, expected.length)];
        const rest = expected.filter((each) => !after || comparePlaces(each, after) > 0);
        expect(await merged(pages, runs, after)).toEqual(rest);
      },
    ),
    { numRuns: 200 },
  );
});

test('a merge of some runs changes nothing of what lists show', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(versions, { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 6 }),
      async (given, rows, taken) => {
        const pages = new Pages();
        const runs = (await Promise.all(given.map((each) => pages.run(each, rows)))).filter(
          (run) => run.length > 0,
        );
        const [chosen, others] = [runs.slice(0, taken), runs.slice(taken)];
        const groups = [{ pages: chosen.flat(), isKept: false }];
        const run = await mergeIntoRun(pages, { merged: chosen, others, groups }, new Set());
        const after = run.length === 0 ? others : [...others, run];
        const expected = shown(newestVersions(given.flat()));
        expect(shown(await merged(pages, after))).toEqual(expected);
        if (others.length === 0) expect(await merged(pages, after)).toEqual(expected);
      },
    ),
    { numRuns: 200 },
  );
});

test('versions are rewritten a few times however many there are, and imports once', async () => {
  const growth = (overlaps: boolean) => {
    let runs: Run[] = [];
    let [rewritten, next] = [0, 0];
    for (let added = 0; added < 2000; added++) {
      const from = overlaps ? 0 : next;
      next += 4096;
      runs = [...runs, [pageOf(from, next - 1, 4096)]];
      for (let plan = planMerge(runs); plan !== undefined; plan = planMerge(runs)) {
        const pages = plan.groups.flatMap((group) => group.pages);
        for (const group of plan.groups)
          if (!group.isKept) for (const { rows } of group.pages) rewritten += rows;
        runs = [...plan.others, overlaps ? rewrittenRun(pages, next) : pages];
      }
    }
    return { runs: runs.length, times: rewritten / (2000 * 4096) };
  };
  expect(growth(false)).toEqual({ runs: expect.any(Number), times: 0 });
  const { runs, times } = growth(true);
  expect(runs).toBeLessThan(40);
  expect(times).toBeLessThan(12);
});

function pageOf(first: number, last: number, rows: number) {
  return {
    key: '',
    first: [first, 0] as const,
    last: [last, 0] as const,
    created: [0, 0] as const,
    rows,
    tombstones: 0,
    logicalBytes: 0,
  };
}

/** As many pages as the rows of these take, over the same places. */
function rewrittenRun(pages: Run, end: number): Run {
  const count = pages.reduce((sum, { rows }) => sum + rows, 0) / 4096;
  const width = end / count;
  return Array.from({ length: count }, (_, at) => pageOf(at * width, (at + 1) * width - 1, 4096));
}
