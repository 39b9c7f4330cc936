import { describe, expect, test } from 'vitest';
import type { NewEntry, Revision } from '../../src/backends/contract/manifests.ts';
import {
  append,
  codeOf,
  commit,
  commitFails,
  contentOf,
  conversation,
  entry,
  headOf,
  put,
  readOne,
  remove,
  segment,
  succeeded,
} from './builders.ts';
import type { Fixture } from './fixture.ts';

export function describeCommits(fixture: Fixture): void {
  describe('put', () => {
    test('stores a manifest with its fields, its entries and their segments', async () => {
      const { backend } = fixture;
      const before = Date.now();
      const fields = {
        application: 'desk',
        model: 'm-1',
        createdAt: 1234,
        expiresAt: 9e15,
        logicalBytes: 77,
      };
      const entries = [entry('one', 'aaa', 'bbbb'), entry('two'), entry('three', 'ccccc')];
      const outcome = await commit(backend, put('x', entries, { fields }));
      expect(outcome).toMatchObject({ status: 'created', newSegments: 3, newBytes: 12 });

      const { entries: _, ...head } = (await readOne(backend, 'x')) ?? expect.unreachable();
      expect(head).toEqual({
        key: conversation('x'),
        revision: outcome.revision,
        ...fields,
        updatedAt: expect.any(Number),
        entryCount: 3,
      });
      expect(head.updatedAt).toBeGreaterThanOrEqual(before - 5000);
      expect(await headOf(backend, 'x')).toEqual(head);
      expect(await contentOf(backend, 'x')).toEqual([
        { body: 'one', segments: ['aaa', 'bbbb'] },
        { body: 'two', segments: [] },
        { body: 'three', segments: ['ccccc'] },
      ]);
    });

    test('leaves fields that were not given absent, and dates creation at the commit', async () => {
      const before = Date.now();
      await commit(fixture.backend, put('x', []));
      const head = (await headOf(fixture.backend, 'x')) ?? expect.unreachable();
      expect(Object.keys(head).sort()).toEqual([
        'createdAt',
        'entryCount',
        'key',
        'logicalBytes',
        'revision',
        'updatedAt',
      ]);
      expect(Math.abs(head.createdAt - before)).toBeLessThan(60_000);
    });

    test('dates what replaces other content at its own commit, too', async () => {
      const { backend } = fixture;
      const before = Date.now();
      await commit(backend, put('x', [entry('old')], { fields: { createdAt: 1234 } }));
      await commit(backend, put('x', [entry('new')], { ifExists: 'replace' }));
      const head = (await headOf(backend, 'x')) ?? expect.unreachable();
      expect(Math.abs(head.createdAt - before)).toBeLessThan(60_000);
    });

    /** Numbers for bodies, and fewer for segments: some are used more than once. */
    const numbers = (usual: number, segments: number) => {
      const count = fixture.size(usual);
      return Array.from({ length: count }, (_, i) => ({
        i,
        part: i % Math.ceil((count * segments) / usual),
      }));
    };
    test.each<[string, () => NewEntry[]]>([
      ['no entries', () => []],
      ['an empty body', () => [entry('')]],
      [
        'bodies of every byte',
        () => [entry(Buffer.from(Array.from({ length: 256 }, (_, i) => i)))],
      ],
      ['a body of a megabyte', () => [entry(Buffer.alloc(1 << 20, 'varve'))]],
      [
        'thousands of entries',
        () => numbers(5000, 700).map(({ i, part }) => entry(`body ${i}`, `segment ${part}`)),
      ],
      [
        'thousands of segments in one entry',
        () => [entry('wide', ...numbers(3000, 2500).map(({ part }) => `part ${part}`))],
      ],
    ])('takes %s', async (_, entriesOf) => {
      const entries = entriesOf();
      await commit(fixture.backend, put('x', entries));
      const expected = entries.map(({ body, segments }) => ({
        body: Buffer.from(body).toString('latin1'),
        segments: segments.map(({ bytes }) => Buffer.from(bytes?.() ?? []).toString('latin1')),
      }));
      expect(await contentOf(fixture.backend, 'x')).toEqual(expected);
    });

    test('keeps its own copy of what it was given', async () => {
      const body = Buffer.from('body');
      const bytes = Buffer.from('segment');
      await commit(fixture.backend, put('x', [entry(body, segment(bytes))]));
      body.fill(0);
      bytes.fill(0);
      expect(await contentOf(fixture.backend, 'x')).toEqual([
        { body: 'body', segments: ['segment'] },
      ]);
    });

    test.each(['error', 'skip', 'replace'] as const)(
      'of identical content is unchanged, ifExists %s',
      async (ifExists) => {
        const { backend } = fixture;
        const entries = [entry('one', 'aaa'), entry('two', 'bbb')];
        const fields = { application: 'desk', createdAt: 5 };
        const first = await commit(backend, put('x', entries, { fields }));
        const head = await headOf(backend, 'x');
        const again = await commit(backend, put('x', entries, { ifExists, fields }));
        expect(again).toEqual({
          status: 'unchanged',
          revision: first.revision,
          newSegments: 0,
          newBytes: 0,
        });
        expect(await headOf(backend, 'x')).toEqual(head);
      },
    );

    test('of identical content is unchanged when the time of creation is left open', async () => {
      await commit(fixture.backend, put('x', [entry('one')]));
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(await commit(fixture.backend, put('x', [entry('one')]))).toMatchObject({
        status: 'unchanged',
      });
    });

    test('of what a put and an append made is unchanged, too', async () => {
      await commit(fixture.backend, put('x', [entry('one', 'aaa')]));
      await commit(fixture.backend, append('x', [entry('two', 'bbb')]));
      const whole = put('x', [entry('one', 'aaa'), entry('two', 'bbb')], {
        fields: { logicalBytes: 110 },
      });
      expect(await commit(fixture.backend, whole)).toMatchObject({ status: 'unchanged' });
    });

    test.each([
      ['a body', [entry('onE', 'aaa', 'bbb'), entry('two')]],
      ['a segment', [entry('one', 'aaa', 'bbB'), entry('two')]],
      ['the order of segments', [entry('one', 'bbb', 'aaa'), entry('two')]],
      ['the number of segments', [entry('one', 'aaa', 'bbb', 'bbb'), entry('two')]],
      ['a segment fewer', [entry('one', 'aaa'), entry('two')]],
      ['the owner of a segment', [entry('one', 'aaa'), entry('two', 'bbb')]],
      ['the order of entries', [entry('two'), entry('one', 'aaa', 'bbb')]],
      ['the bounds of bodies', [entry('onet', 'aaa', 'bbb'), entry('wo')]],
      ['the number of entries', [entry('one', 'aaa', 'bbb')]],
      ['an empty entry more', [entry('one', 'aaa', 'bbb'), entry('two'), entry('')]],
    ] as [string, NewEntry[]][])(
      'of content that differs in %s is other content',
      async (_, entries) => {
        const { backend } = fixture;
        const stored = [entry('one', 'aaa', 'bbb'), entry('two')];
        const first = await commit(backend, put('x', stored));
        await commitFails(backend, put('x', entries), 'ALREADY_EXISTS');
        const skipped = await commit(backend, put('x', entries, { ifExists: 'skip' }));
        expect(skipped).toMatchObject({
          status: 'skipped',
          revision: first.revision,
          newSegments: 0,
          newBytes: 0,
        });
        const unchanged = await contentOf(backend, 'x');
        expect(unchanged).toEqual([
          { body: 'one', segments: ['aaa', 'bbb'] },
          { body: 'two', segments: [] },
        ]);
        const replaced = await commit(backend, put('x', entries, { ifExists: 'replace' }));
        expect(replaced.status).toBe('replaced');
        expect(replaced.revision).not.toBe(first.revision);
        expect(await contentOf(backend, 'x')).not.toEqual(unchanged);
        expect((await headOf(backend, 'x'))?.revision).toBe(replaced.revision);
      },
    );

    test.each([
      { application: 'other' },
      { model: 'other' },
      { createdAt: 2 },
      { expiresAt: 9e15 },
      { logicalBytes: 2 },
    ])('of the same entries with other fields is other content: %o', async (changed) => {
      const { backend } = fixture;
      const fields = {
        application: 'desk',
        model: 'm',
        createdAt: 1,
        expiresAt: 8e15,
        logicalBytes: 1,
      };
      await commit(backend, put('x', [entry('one')], { fields }));
      const write = put('x', [entry('one')], {
        fields: { ...fields, ...changed },
        ifExists: 'replace',
      });
      expect((await commit(backend, write)).status).toBe('replaced');
      expect(await headOf(backend, 'x')).toMatchObject({ ...fields, ...changed });
    });

    test('replacing drops the fields that are no longer given', async () => {
      const { backend } = fixture;
      await commit(
        backend,
        put('x', [entry('a')], { fields: { application: 'desk', model: 'm', expiresAt: 9e15 } }),
      );
      await commit(backend, put('x', [entry('b')], { ifExists: 'replace' }));
      const head = await headOf(backend, 'x');
      expect([head?.application, head?.model, head?.expiresAt]).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
    });

    test('does not ask for bytes that it has no use for', async () => {
      const { backend } = fixture;
      await commit(backend, put('x', [entry('one', 'aaa')]));
      const guarded = {
        ...segment('aaa'),
        bytes: () => expect.unreachable('asked for the bytes of a stored segment'),
      };
      expect(await commit(backend, put('y', [entry('one', guarded)]))).toMatchObject({
        status: 'created',
      });
    });
  });

  describe('ifRevision', () => {
    test('lets a write through when it is the stored one, and only then', async () => {
      const { backend } = fixture;
      const first = (await commit(backend, put('x', [entry('1')]))).revision as Revision;
      const second = (
        await commit(backend, put('x', [entry('2')], { ifExists: 'replace', ifRevision: first }))
      ).revision as Revision;
      const stale = { ifRevision: first };
      await commitFails(
        backend,
        put('x', [entry('3')], { ifExists: 'replace', ...stale }),
        'CONFLICT',
      );
      await commitFails(
        backend,
        put('x', [entry('3')], { ifExists: 'skip', ...stale }),
        'CONFLICT',
      );
      await commitFails(backend, append('x', [entry('3')], stale), 'CONFLICT');
      await commitFails(backend, remove('x', stale), 'CONFLICT');
      expect(await contentOf(backend, 'x')).toEqual([{ body: '2', segments: [] }]);
      const third = (await commit(backend, append('x', [entry('3')], { ifRevision: second })))
        .revision as Revision;
      expect(new Set([first, second, third]).size).toBe(3);
      expect(await commit(backend, remove('x', { ifRevision: third }))).toMatchObject({
        status: 'deleted',
      });
    });

    test('of a put conflicts where nothing is stored', async () => {
      const { backend } = fixture;
      const revision = (await commit(backend, put('y', []))).revision as Revision;
      await commitFails(
        backend,
        put('x', [], { ifRevision: revision, ifExists: 'replace' }),
        'CONFLICT',
      );
      expect(await headOf(backend, 'x')).toBeUndefined();
    });

    test('does not stand in for ifExists', async () => {
      const revision = (await commit(fixture.backend, put('x', [entry('1')]))).revision as Revision;
      await commitFails(
        fixture.backend,
        put('x', [entry('2')], { ifRevision: revision }),
        'ALREADY_EXISTS',
      );
    });

    test('is not fooled by an id that was deleted and put again, several times', async () => {
      const { backend } = fixture;
      const seen = new Set<Revision | undefined>();
      for (let round = 0; round < 5; round++) {
        seen.add((await commit(backend, put('x', [entry('same', 'aaa')]))).revision);
        seen.add((await commit(backend, append('x', [entry('more')]))).revision);
        await commit(backend, remove('x'));
      }
      expect(seen.size).toBe(10);
      await commit(backend, put('x', [entry('same', 'aaa')]));
      for (const revision of seen) {
        await commitFails(backend, remove('x', { ifRevision: revision as Revision }), 'CONFLICT');
      }
    });

    test('of one revision lets one of many writers through', async () => {
      const { backend } = fixture;
      const ifRevision = (await commit(backend, put('x', [entry('0')]))).revision as Revision;
      const writes = Array.from({ length: 20 }, (_, i) =>
        put('x', [entry(`w${i}`)], { ifExists: 'replace', ifRevision }),
      );
      const codes = (await Promise.all(writes.map((write) => backend.commit([write]))))
        .flat()
        .map(codeOf)
        .sort();
      expect(codes).toEqual([...Array<string>(19).fill('CONFLICT'), 'replaced']);
    });
  });

  describe('delete', () => {
    test('makes a manifest absent, and of an absent one is not an error', async () => {
      const { backend } = fixture;
      await commit(backend, put('x', [entry('1', 'aaa')]));
      expect(await commit(backend, remove('x'))).toEqual({
        status: 'deleted',
        newSegments: 0,
        newBytes: 0,
      });
      expect(await readOne(backend, 'x')).toBeUndefined();
      expect(await headOf(backend, 'x')).toBeUndefined();
      expect(await commit(backend, remove('x'))).toEqual({
        status: 'absent',
        newSegments: 0,
        newBytes: 0,
      });
    });

    test('of an absent one is not an error even with ifRevision, so that it may be repeated', async () => {
      const { backend } = fixture;
      const ifRevision = (await commit(backend, put('x', [entry('1')]))).revision as Revision;
      expect((await commit(backend, remove('x', { ifRevision }))).status).toBe('deleted');
      expect((await commit(backend, remove('x', { ifRevision }))).status).toBe('absent');
    });
  });

  describe('a batch', () => {
    test('of nothing has no outcomes', async () => {
      expect(await fixture.backend.commit([])).toEqual([]);
    });

    test('has an outcome for each write in its place, and a failure touches no other', async () => {
      const { backend } = fixture;
      await commit(backend, put('taken', [entry('old')]));
      const wrong = { ...segment('bytes'), bytes: () => Buffer.from('other bytes') };
      const outcomes = await backend.commit([
        put('a', [entry('1', 'aaa')]),
        put('taken', [entry('new', 'bbb')]),
        put('b', [entry('2', wrong, 'ccc')]),
        append('nowhere', [entry('3', 'ddd')]),
        remove('never'),
        put('c', [entry('4', 'aaa')]),
      ]);
      expect(outcomes.map(codeOf)).toEqual([
        'created',
        'ALREADY_EXISTS',
        'INVALID_ARGUMENT',
        'NOT_FOUND',
        'absent',
        'created',
      ]);
      expect(await contentOf(backend, 'a')).toEqual([{ body: '1', segments: ['aaa'] }]);
      expect(await contentOf(backend, 'taken')).toEqual([{ body: 'old', segments: [] }]);
      expect(await contentOf(backend, 'b')).toBeUndefined();
      expect(await contentOf(backend, 'c')).toEqual([{ body: '4', segments: ['aaa'] }]);
    });

    test('happens in order where it concerns one key', async () => {
      const { backend } = fixture;
      const known = { ...segment('aaa'), bytes: null };
      const outcomes = await backend.commit([
        put('x', [entry('1', 'aaa')]),
        append('x', [entry('2', known)], { idempotencyKey: 'k' }),
        append('x', [entry('2', known)], { idempotencyKey: 'k' }),
        put('x', [entry('1')]),
        remove('x'),
        append('x', [entry('3')]),
        put('x', [entry('4')]),
        put('x', [entry('5')], { ifExists: 'replace' }),
      ]);
      expect(outcomes.map(codeOf)).toEqual([
        'created',
        'appended',
        'unchanged',
        'ALREADY_EXISTS',
        'deleted',
        'NOT_FOUND',
        'created',
        'replaced',
      ]);
      expect(await contentOf(backend, 'x')).toEqual([{ body: '5', segments: [] }]);
    });

    test('of a thousand writes keeps each apart', async () => {
      const { backend } = fixture;
      const ids = Array.from({ length: fixture.size(1000) }, (_, i) => `c${i}`);
      const outcomes = await backend.commit(
        ids.map((id, i) => put(id, [entry(`body ${i}`, `text ${i}`, 'shared')])),
      );
      expect(outcomes.reduce((sum, outcome) => sum + succeeded(outcome).newSegments, 0)).toBe(
        ids.length + 1,
      );
      const manifests = await backend.read(ids.map(conversation));
      expect(
        manifests.map((manifest) => Buffer.from(manifest?.entries[0]?.body ?? []).toString()),
      ).toEqual(ids.map((_, i) => `body ${i}`));
    });

    test('of one new id from many writers at once creates it once', async () => {
      const { backend } = fixture;
      const attempts = Array.from({ length: 20 }, (_, i) =>
        backend.commit([put('x', [entry(`w${i}`, 'aaa')])]),
      );
      const codes = (await Promise.all(attempts)).flat().map(codeOf).sort();
      expect(codes).toEqual([...Array<string>(19).fill('ALREADY_EXISTS'), 'created']);
    });
  });
}
