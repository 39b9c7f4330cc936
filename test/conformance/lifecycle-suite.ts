import { describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backends/contract/backend.ts';
import type { Locator, Revision } from '../../src/backends/contract/manifests.ts';
import { randomBytes } from '../cas/random-bytes.ts';
import {
  append,
  auditOf,
  codeOf,
  commit,
  commitFails,
  contentOf,
  conversation,
  entry,
  headOf,
  idsOf,
  put,
  readOne,
  referencesTo,
  remove,
  segment,
  stream,
} from './builders.ts';
import type { Fixture } from './fixture.ts';

type Verb = [name: string, call: (backend: Backend, signal?: AbortSignal) => Promise<unknown>];

const NO_LOCATORS: readonly Locator[] = [];

/** Every verb of the interface, each as a call that would succeed on an open store. */
const READING: Verb[] = [
  ['read', (backend, signal) => backend.read([conversation('x')], options(signal))],
  ['heads', (backend, signal) => backend.heads([conversation('x')], options(signal))],
  ['list', (backend, signal) => idsOf(backend.list('conversation', {}, options(signal)))],
  ['fetch', (backend, signal) => backend.fetch(NO_LOCATORS, options(signal))],
  ['describe', (backend, signal) => backend.describe(NO_LOCATORS, options(signal))],
  ['find', (backend, signal) => backend.find([segment('s').address], options(signal))],
  ['audit', (backend, signal) => backend.audit(options(signal)).next()],
  ['usage', (backend, signal) => backend.usage(options(signal))],
  ['survey', (backend, signal) => backend.survey(options(signal))[Symbol.asyncIterator]().next()],
  ['reports.list', (backend, signal) => backend.reports.list(options(signal))],
  ['health', (backend, signal) => backend.health(options(signal))],
];
const WRITING: Verb[] = [
  ['commit', (backend, signal) => backend.commit([put('y', [entry('1')])], options(signal))],
  [
    'publish',
    (backend, signal) => backend.publish(PUBLISHED, stream([entry('1')]), fields, options(signal)),
  ],
  ['collect', (backend, signal) => backend.collect({ graceMs: 0, ...options(signal) })],
  [
    'reports.add',
    (backend, signal) => backend.reports.add({ time: 1, body: '{}' }, options(signal)),
  ],
  ['lease', (backend, signal) => backend.lease('gc', 1000, options(signal))],
];
const PUBLISHED = { operation: 'put', key: conversation('y'), ifExists: 'error' } as const;
const fields = () => ({ logicalBytes: 1 });
const options = (signal: AbortSignal | undefined) => (signal ? { signal } : {});

export function describeLifecycle(fixture: Fixture): void {
  test('a store that can be worked with says so', async () => {
    const health = await fixture.backend.health();
    expect(health).toMatchObject({ healthy: true });
    expect(health.error).toBeUndefined();
    expect(health.latencyMs).toBeGreaterThanOrEqual(0);
  });

  describe('a signal that has fired', () => {
    test.each([...READING, ...WRITING])('stops %s before it does anything', async (_, call) => {
      const { backend } = fixture;
      await commit(backend, put('x', [entry('1', 's')]));
      await commit(backend, put('gone', [entry('1', 'garbage')]));
      await commit(backend, remove('gone'));
      const signal = AbortSignal.abort(new Error('no longer wanted'));
      await expect(call(backend, signal)).rejects.toMatchObject({
        name: 'VarveError',
        code: 'ABORTED',
      });
      expect(await idsOf(backend.list('conversation'))).toEqual(['x']);
      expect(await backend.find([segment('garbage').address])).not.toEqual([undefined]);
      await call(backend, new AbortController().signal);
    });

    test('during a commit leaves all of it or nothing, or what is said to be unknown', async () => {
      const { backend } = fixture;
      for (let round = 0; round < 10; round++) {
        const controller = new AbortController();
        const ids = Array.from({ length: 20 }, (_, i) => `r${round} c${i}`);
        const writes = ids.map((id) => put(id, [entry(id, `text of ${id}`)]));
        const result = backend.commit(writes, { signal: controller.signal }).then(
          () => 'done',
          (error) => error.code,
        );
        for (let turn = 0; turn < round; turn++) await new Promise(setImmediate);
        controller.abort();
        const how = await result;
        const stored = (await backend.read(ids.map(conversation))).flatMap(
          (manifest) => manifest ?? [],
        );
        for (const { entries } of stored) expect(entries).toHaveLength(1);
        // Where a commit is many requests, the signal may find some of them under way.
        if (how === 'OUTCOME_UNKNOWN' && backend.capabilities.multiMachine) continue;
        expect({ how, stored: stored.length }).toEqual(
          how === 'done' ? { how, stored: ids.length } : { how: 'ABORTED', stored: 0 },
        );
      }
    });

    test('ends a list that is under way', async () => {
      const { backend } = fixture;
      const ids = Array.from({ length: fixture.size(700) }, (_, i) => `c${i}`);
      await backend.commit(ids.map((id) => put(id, [])));
      const controller = new AbortController();
      const heads = backend
        .list('conversation', {}, { signal: controller.signal })
        [Symbol.asyncIterator]();
      await heads.next();
      controller.abort();
      const rest = async () => {
        while (!(await heads.next()).done);
      };
      await expect(rest()).rejects.toMatchObject({ code: 'ABORTED' });
    });
  });

  describe('a closed backend', () => {
    test.each([...READING, ...WRITING])('refuses %s', async (_, call) => {
      const { backend } = fixture;
      await commit(backend, put('x', [entry('1', 's')]));
      await backend.close();
      await expect(call(backend)).rejects.toMatchObject({ name: 'VarveError', code: 'CLOSED' });
    });

    test.each<[string, (backend: Backend) => AsyncIterable<unknown>]>([
      ['a list', (backend) => backend.list('conversation')],
      ['a survey', (backend) => backend.survey()],
    ])('ends %s under way, though more was read ahead', async (_, begin) => {
      const { backend } = fixture;
      await backend.commit(['x', 'y', 'z'].map((id) => put(id, [entry('1', id)])));
      const items = begin(backend)[Symbol.asyncIterator]();
      expect((await items.next()).done).toBe(false);
      await backend.close();
      await expect(items.next()).rejects.toMatchObject({ name: 'VarveError', code: 'CLOSED' });
      expect((await items.next()).done).toBe(true);
      expect(() => backend.assertOpen()).toThrow(expect.objectContaining({ code: 'CLOSED' }));
    });

    test('may be closed again', async () => {
      await fixture.backend.close();
      await fixture.backend.close();
      await Promise.all([fixture.backend.close(), fixture.backend.close()]);
    });

    test('has finished or refused what was under way, and lost nothing it acknowledged', async (context) => {
      const { backend, opened } = fixture;
      if (!opened.reopen) return context.skip('does not outlive a handle');
      const pending = Array.from({ length: 20 }, (_, i) =>
        backend.commit([put(`c${i}`, [entry(`${i}`, `text ${i}`)])]).then(
          (outcomes) => outcomes.map(codeOf),
          (error) => [error.code],
        ),
      );
      await backend.close();
      const results = (await Promise.all(pending)).flat();
      const again = await opened.reopen();
      for (const [i, result] of results.entries()) {
        expect(['created', 'CLOSED']).toContain(result);
        const stored =
          result === 'created' ? [{ body: `${i}`, segments: [`text ${i}`] }] : undefined;
        expect(await contentOf(again, `c${i}`)).toEqual(stored);
      }
      expect((await auditOf(again)).findings).toEqual([]);
      await again.close();
    });
  });

  describe('what is stored', () => {
    test('is all there after closing and opening again', async (context) => {
      const { backend, opened } = fixture;
      if (!opened.reopen) return context.skip('does not outlive a handle');
      const large = randomBytes(4, 3_000_000);
      const given = {
        application: 'desk',
        model: 'm',
        createdAt: 5,
        expiresAt: 9e15,
        logicalBytes: 6,
      };
      await commit(backend, put('b', [entry('1', 'text', segment(large))], { fields: given }));
      await commit(backend, put('a', [entry('1', 'text')]));
      await commit(backend, append('a', [entry('2', 'more')], { idempotencyKey: 'k' }));
      await backend.publish(
        PUBLISHED,
        stream([entry('1', 'streamed'), entry('2', 'text')]),
        fields,
      );
      await commit(backend, put('gone', [entry('1', 'garbage')]));
      await commit(backend, remove('gone'));
      const heads = await backend.heads(['b', 'a', 'y'].map(conversation));
      const contents = await Promise.all(['b', 'a', 'y'].map((id) => contentOf(backend, id)));
      const before = await backend.usage();
      await backend.close();

      const again = await opened.reopen();
      expect(await again.heads(['b', 'a', 'y'].map(conversation))).toEqual(heads);
      expect(await Promise.all(['b', 'a', 'y'].map((id) => contentOf(again, id)))).toEqual(
        contents,
      );
      expect(await idsOf(again.list('conversation'))).toEqual(['b', 'a', 'y']);
      const { manifests, segments, segmentBytes, garbageSegments } = await again.usage();
      expect({ manifests, segments, segmentBytes, garbageSegments }).toEqual({
        manifests: before.manifests,
        segments: before.segments,
        segmentBytes: before.segmentBytes,
        garbageSegments: before.garbageSegments,
      });
      expect(await referencesTo(again, 'text')).toBe(3);
      expect((await commit(again, append('a', [entry('2')], { idempotencyKey: 'k' }))).status).toBe(
        'unchanged',
      );
      expect((await commit(again, put('c', [entry('1', 'text')]))).newSegments).toBe(0);
      expect((await auditOf(again)).findings).toEqual([]);
      await again.close();
    });

    test('has revisions that are never used again, not even by another opening', async (context) => {
      const { opened } = fixture;
      if (!opened.reopen) return context.skip('does not outlive a handle');
      let backend = fixture.backend;
      const seen = new Set<Revision | undefined>();
      for (let round = 0; round < 4; round++) {
        seen.add((await commit(backend, put('x', [entry('1')]))).revision);
        await commit(backend, remove('x'));
        await backend.close();
        backend = await opened.reopen();
      }
      await commit(backend, put('x', [entry('1')]));
      for (const revision of seen) {
        await commitFails(backend, remove('x', { ifRevision: revision as Revision }), 'CONFLICT');
      }
      expect(seen.size).toBe(4);
      await backend.close();
    });
  });

  describe('two handles on one store', () => {
    async function both(skip: (note: string) => void): Promise<[Backend, Backend] | undefined> {
      const { backend, opened } = fixture;
      if (opened.second) return [backend, await opened.second()];
      skip('one handle at a time');
      return undefined;
    }

    test('see each other’s writes', async (context) => {
      const [one, two] = (await both(context.skip)) ?? [];
      if (!one || !two) return;
      await commit(one, put('x', [entry('1', 'text')]));
      expect(await contentOf(two, 'x')).toEqual([{ body: '1', segments: ['text'] }]);
      expect(await commit(two, append('x', [entry('2', 'text', 'more')]))).toMatchObject({
        newSegments: 1,
      });
      expect((await contentOf(one, 'x'))?.map(({ body }) => body)).toEqual(['1', '2']);
      await commit(one, remove('x'));
      expect(await headOf(two, 'x')).toBeUndefined();
      await one.collect({ graceMs: 0, full: true });
      expect(await commit(two, put('z', [entry('1', 'text')]))).toMatchObject({ newSegments: 1 });
      expect(await contentOf(one, 'z')).toEqual([{ body: '1', segments: ['text'] }]);
      await two.close();
    });

    test('lose no update to each other', async (context) => {
      const handles = await both(context.skip);
      if (!handles) return;
      const [one, two] = handles;
      await commit(one, put('x', []));
      const appends = Array.from({ length: 40 }, (_, i) =>
        (handles[i % 2] as Backend).commit([append('x', [entry(`${i}`, `text ${i % 7}`)])]),
      );
      expect((await Promise.all(appends)).flat().map(codeOf)).toEqual(
        Array<string>(40).fill('appended'),
      );
      const bodies = (await contentOf(two, 'x'))
        ?.map(({ body }) => Number(body))
        .sort((a, b) => a - b);
      expect(bodies).toEqual(Array.from({ length: 40 }, (_, i) => i));
      const creations = Array.from({ length: 10 }, (_, i) =>
        (handles[i % 2] as Backend).commit([put('new', [entry(`${i}`)])]),
      );
      expect((await Promise.all(creations)).flat().map(codeOf).sort()).toEqual([
        ...Array<string>(9).fill('ALREADY_EXISTS'),
        'created',
      ]);
      expect((await auditOf(two)).findings).toEqual([]);
      await two.close();
    });

    test('write, delete and collect at once without harm', async (context) => {
      const handles = await both(context.skip);
      if (!handles) return;
      const [one, two] = handles;
      const work = handles.map(async (backend, number) => {
        for (let round = 0; round < 25; round++) {
          const texts = [0, 1, 2].map((i) => `text ${(round + i) % 6}`);
          const id = `h${number}`;
          await commit(backend, put(id, [entry(`${round}`, ...texts)], { ifExists: 'replace' }));
          expect(await contentOf(backend, id)).toEqual([{ body: `${round}`, segments: texts }]);
          if (round % 4 === 0) await commit(backend, remove(id));
          if (round % 5 === 0) await backend.collect({ graceMs: 0, full: true });
        }
      });
      await Promise.all(work);
      expect((await readOne(one, 'h1'))?.revision).toBe((await readOne(two, 'h1'))?.revision);
      expect((await auditOf(one)).findings).toEqual([]);
      await two.close();
    });
  });

  describe('a handle for reading only', () => {
    test('reads, and refuses to write', async (context) => {
      const { backend, opened } = fixture;
      if (!opened.readOnly) return context.skip('cannot be opened for reading only');
      await commit(backend, put('x', [entry('1', 'text')]));
      const reader = await opened.readOnly();
      expect(backend.capabilities.writable).toBe(true);
      expect(reader.capabilities.writable).toBe(false);
      expect(await contentOf(reader, 'x')).toEqual([{ body: '1', segments: ['text'] }]);
      for (const [, call] of READING) await call(reader);
      for (const [, call] of WRITING)
        await expect(call(reader)).rejects.toMatchObject({ code: 'READ_ONLY' });
      expect(await idsOf(backend.list('conversation'))).toEqual(['x']);
      await reader.close();
    });
  });

  describe('a location', () => {
    test('is named for people, and capabilities are declared', () => {
      const { location, capabilities } = fixture.backend;
      expect(location).not.toBe('');
      expect(capabilities).toEqual({
        writable: true,
        multiMachine: expect.any(Boolean),
        countsReferencesOf: expect.stringMatching(/^(entries|manifests)$/),
        inlineBelow: expect.any(Number),
        writesTogether: expect.any(Number),
      });
      expect(capabilities.inlineBelow).toBeGreaterThanOrEqual(0);
    });
  });
}
