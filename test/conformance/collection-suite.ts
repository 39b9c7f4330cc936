import { describe, expect, test } from 'vitest';
import type { CollectOptions } from '../../src/backends/contract/collection.ts';
import { MANIFEST_KINDS } from '../../src/backends/contract/manifests.ts';
import { randomBytes } from '../cas/random-bytes.ts';
import {
  append,
  auditOf,
  commit,
  contentOf,
  describeSegment,
  entry,
  headOf,
  idsOf,
  put,
  readOne,
  referencesTo,
  remove,
  segment,
  unknownAddress,
  withoutBytes,
} from './builders.ts';
import type { Fixture } from './fixture.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

export function describeCollection(fixture: Fixture): void {
  describe('collect', () => {
    test('takes what nothing references and nothing else', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1', 'shared', 'only a')]));
      await commit(backend, put('b', [entry('1', 'shared', 'only b')]));
      await commit(backend, remove('a'));
      const report = await backend.collect({ graceMs: 0 });
      expect(report).toMatchObject({
        dryRun: false,
        expiredManifests: 0,
        waitingSegments: 0,
        waitingBytes: 0,
      });
      expect(report.collectedSegments).toBeGreaterThanOrEqual(1);
      expect(report.collectedBytes).toBeGreaterThanOrEqual(6);
      expect(await describeSegment(backend, 'only a')).toBeUndefined();
      expect(await contentOf(backend, 'b')).toEqual([
        { body: '1', segments: ['shared', 'only b'] },
      ]);
      expect(await referencesTo(backend, 'shared')).toBe(1);
    });

    test('waits for the grace, by default a day', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1', 'text')]));
      await commit(backend, remove('a'));
      for (const options of [{}, { graceMs: DAY_MS }, { graceMs: 60_000, full: true }]) {
        const report = await backend.collect(options);
        expect(report).toMatchObject({ collectedSegments: 0, collectedBytes: 0 });
        expect(report.waitingSegments).toBeGreaterThanOrEqual(1);
        expect(report.waitingBytes).toBeGreaterThanOrEqual(4);
      }
      expect((await describeSegment(backend, 'text'))?.references).toBe(0);
      expect((await backend.collect({ graceMs: 0 })).collectedSegments).toBeGreaterThanOrEqual(1);
      expect(await describeSegment(backend, 'text')).toBeUndefined();
    });

    test('counts the grace from the last reference, not the first', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1', 'text')]));
      await commit(backend, remove('a'));
      await new Promise((resolve) => setTimeout(resolve, 400));
      await commit(backend, put('b', [entry('1', withoutBytes(segment('text')))]));
      await commit(backend, remove('b'));
      await backend.collect({ graceMs: 300 });
      expect(await describeSegment(backend, 'text')).toBeDefined();
    });

    test('in a dry run says what it would do and does nothing', async () => {
      const { backend } = fixture;
      await commit(backend, put('old', [entry('1', 'expired')], { fields: { expiresAt: 1 } }));
      await commit(backend, put('a', [entry('1', 'text')]));
      await commit(backend, remove('a'));
      for (let run = 0; run < 2; run++) {
        const report = await backend.collect({ graceMs: 0, dryRun: true });
        expect(report).toMatchObject({ dryRun: true, expiredManifests: 1 });
        expect(report.collectedSegments).toBeGreaterThanOrEqual(1);
        expect(report.collectedBytes).toBeGreaterThanOrEqual(4);
      }
      expect(await describeSegment(backend, 'text')).toBeDefined();
      expect(await contentOf(backend, 'old')).toEqual([{ body: '1', segments: ['expired'] }]);
    });

    test('lets a segment live that was referenced again', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1', 'text')]));
      await commit(backend, remove('a'));
      const outcome = await commit(backend, put('b', [entry('1', withoutBytes(segment('text')))]));
      expect(outcome).toMatchObject({ newSegments: 0 });
      await backend.collect({ graceMs: 0, full: true });
      expect(await contentOf(backend, 'b')).toEqual([{ body: '1', segments: ['text'] }]);
    });

    test('is followed by a commit that stores the segment again', async () => {
      const { backend } = fixture;
      for (let round = 0; round < 3; round++) {
        const outcome = await commit(backend, put('a', [entry('1', 'text')]));
        expect(outcome).toMatchObject({ status: 'created', newSegments: 1, newBytes: 4 });
        expect(await contentOf(backend, 'a')).toEqual([{ body: '1', segments: ['text'] }]);
        await commit(backend, remove('a'));
        await backend.collect({ graceMs: 0, full: true });
      }
    });

    test('makes locators of collected segments answer NOT_FOUND, never with another segment', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1', 'text')]));
      const locators = (await readOne(backend, 'a'))?.entries[0]?.segments ?? expect.unreachable();
      await commit(backend, remove('a'));
      expect(Buffer.concat(await backend.fetch(locators)).toString()).toBe('text');
      await backend.collect({ graceMs: 0, full: true });
      for (let i = 0; i < 20; i++) await commit(backend, put(`b${i}`, [entry('1', `other ${i}`)]));
      await expect(backend.fetch(locators)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(backend.describe(locators)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });

    test('fails a commit that counts on a collected segment', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1', 'text')]));
      await commit(backend, remove('a'));
      await backend.collect({ graceMs: 0 });
      const [outcome] = await backend.commit([
        put('b', [entry('1', withoutBytes(segment('text')))]),
      ]);
      expect(outcome).toMatchObject({ status: 'failed', error: { code: 'NOT_FOUND' } });
    });

    test('deletes expired manifests of every kind', async () => {
      const { backend } = fixture;
      for (const kind of MANIFEST_KINDS) {
        const past = { expiresAt: Date.now() - 10_000 };
        const future = { expiresAt: Date.now() + DAY_MS };
        await commit(
          backend,
          put({ kind, id: 'old' }, [entry('1', `old ${kind}`)], { fields: past }),
        );
        await commit(
          backend,
          put({ kind, id: 'new' }, [entry('1', `new ${kind}`)], { fields: future }),
        );
        await commit(backend, put({ kind, id: 'for ever' }, [entry('1', `kept ${kind}`)]));
      }
      const report = await backend.collect({ graceMs: DAY_MS });
      expect(report).toMatchObject({ expiredManifests: 3, collectedSegments: 0 });
      for (const kind of MANIFEST_KINDS) {
        expect(await idsOf(backend.list(kind))).toEqual(['new', 'for ever']);
        expect(await referencesTo(backend, `old ${kind}`)).toBe(0);
        expect(await referencesTo(backend, `new ${kind}`)).toBe(1);
      }
    });

    test('lets a manifest live whose time was put off', async () => {
      const { backend } = fixture;
      await commit(backend, put('x', [entry('1', 'text')], { fields: { expiresAt: 1 } }));
      await commit(backend, append('x', [], { fields: { expiresAt: Date.now() + DAY_MS } }));
      expect(await backend.collect({ graceMs: 0 })).toMatchObject({ expiredManifests: 0 });
      expect(await contentOf(backend, 'x')).toEqual([{ body: '1', segments: ['text'] }]);
    });

    test('keeps every byte of the living through thousands of deletions', async () => {
      const { backend } = fixture;
      const count = fixture.size(2000);
      const text = (i: number) => `text ${i % 900} ${'.'.repeat(i % 500)}`;
      for (let start = 0; start < count; start += count / 4) {
        const ids = Array.from({ length: count / 4 }, (_, i) => start + i);
        await backend.commit(
          ids.map((i) => put(`c${i}`, [entry(`body ${i}`, text(i), text(i + 1))])),
        );
      }
      await backend.commit(
        Array.from({ length: count }, (_, i) => i)
          .filter((i) => i % 4 !== 0)
          .map((i) => remove(`c${i}`)),
      );
      await backend.collect({ graceMs: 0 });
      await backend.collect({ graceMs: 0, full: true });
      for (let i = 0; i < count; i += 4) {
        expect(await contentOf(backend, `c${i}`)).toEqual([
          { body: `body ${i}`, segments: [text(i), text(i + 1)] },
        ]);
      }
      expect((await auditOf(backend)).findings).toEqual([]);
    });

    test('is safe beside writers and readers', async () => {
      const { backend } = fixture;
      let writing = true;
      const collector = (async () => {
        while (writing) {
          await backend.collect({ graceMs: 0, full: true });
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      })();
      const writers = [0, 1, 2].map(async (writer) => {
        for (let round = 0; round < fixture.size(40); round++) {
          const id = `w${writer}`;
          const texts = [0, 1, 2].map((i) => `text ${(round + i) % 5}`);
          await commit(backend, put(id, [entry(`${round}`, ...texts)], { ifExists: 'replace' }));
          expect(await contentOf(backend, id)).toEqual([{ body: `${round}`, segments: texts }]);
          if (round % 3 === 0) await commit(backend, remove(id));
        }
      });
      await Promise.all(writers).finally(() => {
        writing = false;
      });
      await collector;
    });

    test('may run several times at once', async () => {
      const { backend } = fixture;
      const ids = Array.from({ length: fixture.size(300) }, (_, i) => i);
      await backend.commit(ids.map((i) => put(`c${i}`, [entry('1', `text ${i}`)])));
      await backend.commit(ids.filter((i) => i % 2 === 0).map((i) => remove(`c${i}`)));
      const runs = Array.from({ length: 3 }, (_, i) =>
        backend.collect({ graceMs: 0, full: i === 1 }),
      );
      const collected = (await Promise.all(runs)).reduce(
        (sum, report) => sum + report.collectedSegments,
        0,
      );
      expect(collected).toBeGreaterThanOrEqual(ids.length / 2);
      for (const i of ids) {
        const known = await describeSegment(backend, `text ${i}`);
        expect(known?.references).toBe(i % 2 === 0 ? undefined : 1);
      }
    });

    test.each<CollectOptions>([
      { graceMs: -1 },
      { graceMs: Number.NaN },
      { deadlineMs: -1 },
      { concurrency: 0 },
      { concurrency: 1.5 },
      { shard: { index: 2, count: 2 } },
      { shard: { index: -1, count: 2 } },
      { shard: { index: 0.5, count: 2 } },
      { shard: { index: 0, count: 0 } },
      { erase: true, shard: { index: 0, count: 2 } },
    ])('refuses invalid options: %o', async (options) => {
      const { backend } = fixture;
      const name = Object.keys(options).at(-1);
      for (const dryRun of [false, true]) {
        await expect(backend.collect({ ...options, dryRun })).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
          message: expect.stringContaining(name as string),
        });
      }
    });

    test('reports its progress', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1', 'text')]));
      await commit(backend, remove('a'));
      const report = await backend.collect({
        graceMs: 0,
        onProgress: ({ phase, done, total }) => {
          expect(phase).not.toBe('');
          expect(done).toBeLessThanOrEqual(total);
        },
      });
      expect(report.durationMs).toBeGreaterThanOrEqual(0);
    });
  });

  describe('audit', () => {
    test('of an empty store finds nothing', async () => {
      const { findings, report } = await auditOf(fixture.backend);
      expect(findings).toEqual([]);
      expect(report).toMatchObject({ manifests: 0, segments: 0, findings: 0, unrepaired: 0 });
    });

    test.each([-0.1, 1.1, Number.NaN])('refuses a share of %d', async (sample) => {
      await expect(fixture.backend.audit({ sample }).next()).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining('sample'),
      });
    });

    test('of a sound store finds nothing, and has read all of it', async () => {
      const { backend } = fixture;
      const blob = randomBytes(5, 500_000);
      await commit(
        backend,
        put('a', [entry('1', 'shared', segment(blob)), entry('2', 'shared', 'shared')]),
      );
      await commit(backend, put({ kind: 'pin', id: 'p' }, [entry('', 'shared')]));
      await commit(backend, append('a', [entry('3', 'more')]));
      await commit(backend, put('b', [entry('1', 'garbage')]));
      await commit(backend, remove('b'));
      const { findings, report } = await auditOf(backend);
      expect(findings).toEqual([]);
      expect(report).toMatchObject({ manifests: 2, findings: 0, unrepaired: 0 });
      expect(report.segments).toBeGreaterThanOrEqual(3);
      expect(report.verifiedBytes).toBeGreaterThanOrEqual(blob.length + 10);
    });
  });

  describe('usage', () => {
    test('that was counted last is that of the count, with its time', async () => {
      const { backend } = fixture;
      expect(backend.format).toBeGreaterThan(0);
      await commit(backend, put('a', [entry('1', 'x')]));
      const before = await backend.lastUsage();
      // A backend that counts when it is asked has no count to leave.
      expect(before === undefined).toBe(backend.recount !== undefined);
      await backend.recount?.();
      const { garbageSegments, ...usage } = await backend.usage();
      const last = await backend.lastUsage();
      expect(last?.usage.manifests).toEqual(usage.manifests);
      expect(last).toMatchObject({ usage: { segments: usage.segments, garbageSegments } });
      expect(Math.abs((last?.countedAt ?? 0) - Date.now())).toBeLessThan(60_000);
      const counts = async () => (await backend.lastUsage())?.usage.manifests.conversation.count;
      await commit(backend, put('b', [entry('1', 'x')]));
      expect(await counts()).toBe(backend.recount === undefined ? 2 : 1);
    });

    test('counts manifests by kind, distinct segments, and garbage', async () => {
      const { backend } = fixture;
      const [x, y] = [randomBytes(1, 1000), randomBytes(2, 2000)];
      await commit(
        backend,
        put('a', [entry('1', segment(x), segment(y))], { fields: { logicalBytes: 3000 } }),
      );
      await commit(backend, put('b', [entry('1', segment(x))], { fields: { logicalBytes: 1000 } }));
      await commit(backend, append('b', [entry('2')], { logicalBytes: 7 }));
      await commit(
        backend,
        put({ kind: 'pin', id: 'p' }, [entry('', segment(x))], { fields: { logicalBytes: 5 } }),
      );
      const usage = await backend.usage();
      expect(usage).toMatchObject({
        manifests: {
          conversation: { count: 2, logicalBytes: 4007 },
          blob: { count: 0, logicalBytes: 0 },
          pin: { count: 1, logicalBytes: 5 },
        },
        segments: 2,
        segmentBytes: 3000,
        garbageSegments: 0,
        garbageBytes: 0,
      });
      expect(usage.storedBytes).toBeGreaterThanOrEqual(3000);
      expect(usage.indexBytes).toBeLessThanOrEqual(usage.storedBytes);

      await commit(backend, remove('a'));
      const after = await backend.usage();
      expect(after.manifests.conversation).toEqual({ count: 1, logicalBytes: 1007 });
      expect(after.garbageSegments).toBeGreaterThanOrEqual(1);
      expect(after.garbageBytes).toBeGreaterThanOrEqual(2000);

      await backend.collect({ graceMs: 0 });
      const collected = { segments: 1, segmentBytes: 1000, garbageSegments: 0, garbageBytes: 0 };
      expect(await backend.usage()).toMatchObject(collected);
      expect(await backend.find([unknownAddress()])).toEqual([undefined]);
      expect(await headOf(backend, 'a')).toBeUndefined();
    });
  });
}
