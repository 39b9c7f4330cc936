import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { CollectOptions, CollectReport } from '../../src/backends/contract/collection.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import type { LocalOptions } from '../../src/backends/local/local-options.ts';
import { commit, contentOf, entry, put, remove } from '../conformance/builders.ts';
import { effectOf, histories, play } from '../conformance/collection-history.ts';
import { times } from '../thorough.ts';
import { Child } from './process/child.ts';
import { compileAgent } from './process/compiled.ts';
import { Random } from './process/random.ts';
import { keyOf, readNames } from './process/workload.ts';
import { expectSound, expectSoundNow, openStore, scratchFolder } from './support.ts';

const compiled = { agent: '' };
beforeAll(async () => {
  compiled.agent = await compileAgent();
});

const MINUTE_MS = 60_000;

const SMALL: LocalOptions = { packBytes: 3000, segmentBlockBytes: 800, bodyBlockBytes: 800 };

describe('a plan', () => {
  test('predicts exactly what the run after it does, and why', async () => {
    await fc.assert(
      fc.asyncProperty(
        histories,
        fc.record({
          graceMs: fc.constantFrom(0, 2 * MINUTE_MS, 1e9),
          full: fc.boolean(),
          reopen: fc.boolean(),
        }),
        async (steps, { graceMs, full, reopen }) => {
          const path = scratchFolder();
          const clock = { now: Date.UTC(2026, 0, 31) };
          const open = () => LocalBackend.open(path, SMALL, { clock: () => clock.now });
          let backend = await open();
          const advance = (ms: number) => {
            clock.now += ms;
          };
          await play(steps, { backend, now: () => clock.now, advance });
          if (reopen) {
            await backend.close();
            backend = await open();
          }
          advance(2 * MINUTE_MS);
          const plan = await backend.collect({ dryRun: true, graceMs, full });
          const run = await backend.collect({ graceMs, full });
          // Local files are compressed together, so a plan can only estimate what they give back.
          const exact = ({ freedBytes: _, ...effect }: ReturnType<typeof effectOf>) => effect;
          expect(exact(effectOf(plan))).toEqual(exact(effectOf(run)));
          expect(plan.dryRun).toBe(true);
          expect((await backend.collect({ dryRun: true, graceMs })).collectedSegments).toBe(0);
          await expectSoundNow(backend);
          await backend.close();
        },
      ),
      { numRuns: times(8, 60), seed: 7 },
    );
  });

  test('names every reason', async () => {
    const path = scratchFolder();
    const uploader = new Child(compiled.agent, { path, task: 'publish', to: 1 });
    await uploader.says('entry 0 11');
    await uploader.kill();
    const backend = await openStore(path, { packBytes: 400_000, segmentBlockBytes: 16_000 });
    await commit(
      backend,
      put('old', [entry('old', 'expired')], { fields: { expiresAt: 1, logicalBytes: 77 } }),
    );
    for (let number = 0; number < 80; number++) {
      await commit(backend, put(`c${number}`, [entry('body', new Random(number).text(40))]));
    }
    await commit(backend, remove('c3'));
    const other = await LocalBackend.open(path);
    for (let number = 0; number < 5; number++)
      await commit(other, put(`small ${number}`, [entry('b', `s ${number}`)]));
    await other.close();
    const { reasons } = await backend.collect({ dryRun: true, graceMs: 0, full: true });
    expect(reasons).toMatchObject({
      expired: { count: 1, bytes: 77 },
      'abandoned-upload': { count: 1 },
      unreferenced: { count: expect.any(Number), bytes: expect.any(Number) },
      'dead-space': { count: expect.any(Number), bytes: expect.any(Number) },
      'small-blocks': { count: expect.any(Number), bytes: 0 },
    });
    expect((await backend.collect({ graceMs: 0, full: true })).reasons).toEqual(reasons);
    expect((await backend.collect({ dryRun: true, graceMs: 0, full: true })).reasons).toEqual({});
  });
});

describe('shards', () => {
  test('are disjoint and together do what one run does', async () => {
    const totals: Partial<CollectReport>[] = [];
    for (const count of [1, 3]) {
      const backend = await openStore(scratchFolder(), {
        packBytes: 60_000,
        segmentBlockBytes: 2000,
        bodyBlockBytes: 2000,
      });
      for (let batch = 0; batch < 60; batch++) {
        const writes = Array.from({ length: 250 }, (_, at) =>
          put(`c${batch}.${at}`, [entry('b', `segment ${batch}.${at}`)]),
        );
        await backend.commit(writes);
      }
      const removed = Array.from(
        { length: 60 * 250 },
        (_, at) => `c${Math.floor(at / 250)}.${at % 250}`,
      );
      await backend.commit(removed.filter((_, at) => at % 2 === 0).map((id) => remove(id)));
      const reports: CollectReport[] = [];
      for (let index = 0; index < count; index++) {
        const options: CollectOptions = { graceMs: 0, shard: { index, count } };
        const plan = await backend.collect({ ...options, dryRun: true });
        const run = await backend.collect(options);
        expect(plan.collectedSegments).toBe(run.collectedSegments);
        reports.push(run);
      }
      const sum = (of: (report: CollectReport) => number) =>
        reports.reduce((total, report) => total + of(report), 0);
      totals.push({
        collectedSegments: sum((r) => r.collectedSegments),
        collectedBytes: sum((r) => r.collectedBytes),
      });
      if (count > 1)
        for (const report of reports) expect(report.collectedSegments).toBeGreaterThan(1000);
      await expectSoundNow(backend);
      expect(await contentOf(backend, 'c7.1')).toEqual([{ body: 'b', segments: ['segment 7.1'] }]);
    }
    expect(totals[1]).toEqual(totals[0]);
    expect(totals[0]?.collectedSegments).toBe(7500);
  });
});

describe('a deadline', () => {
  test('ends a run cleanly, and the next continues from there', async () => {
    const path = scratchFolder();
    const backend = await openStore(path, SMALL);
    for (let number = 0; number < 200; number++)
      await commit(backend, put(`c${number}`, [entry('b', `text ${number}`)]));
    for (let number = 0; number < 200; number += 2) await commit(backend, remove(`c${number}`));
    const stopped = await backend.collect({ graceMs: 0, full: true, deadlineMs: 0 });
    expect(stopped).toMatchObject({
      isComplete: false,
      collectedSegments: 0,
      rewrittenPacks: 0,
      reasons: {},
    });
    expect(await backend.collect({ graceMs: 0, full: true, deadlineMs: 1e7 })).toMatchObject({
      isComplete: true,
      collectedSegments: 100,
    });
    await expectSoundNow(backend);
  });

  test('in the middle leaves a sound store', async () => {
    const path = scratchFolder();
    await new Child(compiled.agent, {
      path,
      task: 'commit',
      to: 600,
      batch: 2,
      packBytes: 60_000,
    }).succeeds();
    const backend = await LocalBackend.open(path, {
      packBytes: 60_000,
      segmentBlockBytes: 4000,
      bodyBlockBytes: 4000,
    });
    const removed = Array.from({ length: 600 }, (_, number) => number).filter(
      (number) => number % 3 === 1,
    );
    await backend.commit(removed.map((number) => ({ operation: 'delete', key: keyOf(number) })));
    let stops = 0;
    let report: CollectReport;
    do {
      report = await backend.collect({ graceMs: 0, full: true, deadlineMs: 60 });
      if (!report.isComplete) stops++;
      if (stops < 4) await expectSoundNow(backend);
    } while (!report.isComplete && stops < 100);
    expect(report.isComplete).toBe(true);
    expect(stops).toBeGreaterThan(0);
    expect(await readNames(backend, keyOf(2))).toBeDefined();
    await backend.close();
    await expectSound(path);
  });
});
