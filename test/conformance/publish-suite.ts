import { describe, expect, test } from 'vitest';
import type { NewEntry, PutWrite, Revision } from '../../src/backends/contract/manifests.ts';
import { randomBytes } from '../cas/random-bytes.ts';
import {
  append,
  codeOf,
  commit,
  contentOf,
  entry,
  expectFailed,
  headOf,
  put,
  readOne,
  referencesTo,
  remove,
  segment,
  stream,
  succeeded,
  withoutBytes,
} from './builders.ts';
import type { Fixture } from './fixture.ts';

const KEY = { kind: 'blob', id: 'x' } as const;
const FIELDS = { application: 'desk', createdAt: 5, logicalBytes: 9 };

export function describePublishing(fixture: Fixture): void {
  function publish(
    entries: AsyncIterable<NewEntry>,
    write: Partial<Omit<PutWrite, 'entries' | 'fields'>> = {},
    signal?: AbortSignal,
  ) {
    const whole = { operation: 'put', key: KEY, ifExists: 'error', ...write } as const;
    return fixture.backend.publish(whole, entries, () => FIELDS, signal ? { signal } : {});
  }

  describe('publish', () => {
    test('stores what a put would store', async () => {
      const { backend } = fixture;
      const entries = [entry('one', 'aaa', 'bbb', 'aaa'), entry('two'), entry('', 'bbb', '')];
      const outcome = succeeded(await publish(stream(entries)));
      expect(outcome).toMatchObject({ status: 'created', newSegments: 3, newBytes: 6 });
      expect(await headOf(backend, KEY)).toMatchObject({
        ...FIELDS,
        revision: outcome.revision,
        entryCount: 3,
      });
      await commit(backend, put('twin', entries));
      expect(await contentOf(backend, KEY)).toEqual(await contentOf(backend, 'twin'));
      expect(await referencesTo(backend, 'bbb')).toBe(
        backend.capabilities.countsReferencesOf === 'entries' ? 4 : 2,
      );
    });

    test('of nothing publishes a manifest without entries', async () => {
      expect(succeeded(await publish(stream([]))).status).toBe('created');
      expect((await readOne(fixture.backend, KEY))?.entries).toEqual([]);
    });

    test('asks for the fields when the entries have ended', async () => {
      let ended = false;
      async function* entries() {
        yield entry('1');
        yield entry('2');
        ended = true;
      }
      const write = { operation: 'put', key: KEY, ifExists: 'error' } as const;
      const outcome = await fixture.backend.publish(write, entries(), () => ({
        logicalBytes: ended ? 1 : 0,
      }));
      expect(succeeded(outcome).status).toBe('created');
      expect((await headOf(fixture.backend, KEY))?.logicalBytes).toBe(1);
    });

    test('takes many entries of many megabytes', async () => {
      const { backend } = fixture;
      const content = (i: number) => randomBytes(i, 100_000);
      const count = fixture.size(200);
      async function* entries() {
        for (let i = 0; i < count; i++) {
          const bytes = content(i);
          yield entry(
            `entry ${i}`,
            segment(bytes.subarray(0, 60_000)),
            segment(bytes.subarray(60_000)),
          );
        }
      }
      const outcome = succeeded(await publish(entries()));
      expect(outcome).toMatchObject({
        status: 'created',
        newSegments: 2 * count,
        newBytes: 100_000 * count,
      });
      const manifest = (await readOne(backend, KEY)) ?? expect.unreachable();
      expect(manifest.entries.length).toBe(count);
      for (const [i, { body, segments }] of manifest.entries.entries()) {
        expect(Buffer.from(body).toString()).toBe(`entry ${i}`);
        expect(Buffer.concat(await backend.fetch(segments)).equals(content(i))).toBe(true);
      }
    });

    test('shows nothing until the last entry is stored', async () => {
      const { backend } = fixture;
      async function* entries() {
        for (let i = 0; i < 20; i++) {
          yield entry(`${i}`, segment(randomBytes(i, 200_000)));
          expect(await headOf(backend, KEY)).toBeUndefined();
          for await (const head of backend.list('blob'))
            expect.unreachable(`listed ${head.key.id}`);
          expect((await backend.usage()).manifests.blob.count).toBe(0);
        }
      }
      expect(succeeded(await publish(entries())).status).toBe('created');
      expect((await headOf(backend, KEY))?.entryCount).toBe(20);
    });

    test('keeps what it has stored so far safe from a collection', async () => {
      const { backend } = fixture;
      async function* entries() {
        for (let i = 0; i < 10; i++) {
          yield entry(`${i}`, segment(randomBytes(i, 300_000)), 'shared');
          await backend.collect({ graceMs: 0 });
        }
      }
      expect(succeeded(await publish(entries())).status).toBe('created');
      const content = await contentOf(backend, KEY);
      expect(content?.map(({ segments }) => segments[0])).toEqual(
        Array.from({ length: 10 }, (_, i) => randomBytes(i, 300_000).toString('latin1')),
      );
    });

    test('whose source throws leaves nothing visible, and hands on its very error', async () => {
      const { backend } = fixture;
      const broken = new Error('the source broke');
      async function* entries() {
        for (let i = 0; i < 10; i++)
          yield entry(`${i}`, 'shared', segment(randomBytes(i, 200_000)));
        throw broken;
      }
      await commit(backend, put('other', [entry('1', 'shared')]));
      await expect(publish(entries())).rejects.toBe(broken);
      expect(await headOf(backend, KEY)).toBeUndefined();
      await backend.collect({ graceMs: 0, full: true });
      expect(await referencesTo(backend, 'shared')).toBe(1);
      expect(await contentOf(backend, 'other')).toEqual([{ body: '1', segments: ['shared'] }]);
      expect((await backend.usage()).segments).toBe(1);
    });

    test('whose source throws leaves what was stored before', async () => {
      const { backend } = fixture;
      await commit(backend, put(KEY, [entry('old', 'kept')]));
      async function* entries() {
        yield entry('new', 'kept', 'fresh');
        throw new Error('the source broke');
      }
      await expect(publish(entries(), { ifExists: 'replace' })).rejects.toThrow('the source broke');
      expect(await contentOf(backend, KEY)).toEqual([{ body: 'old', segments: ['kept'] }]);
    });

    test('that is aborted leaves nothing visible, and closes its source', async () => {
      const { backend } = fixture;
      const controller = new AbortController();
      let closed = false;
      async function* entries() {
        try {
          for (let i = 0; ; i++) {
            if (i === 5) controller.abort(new Error('enough'));
            yield entry(`${i}`, segment(randomBytes(i, 100_000)));
          }
        } finally {
          closed = true;
        }
      }
      await expect(publish(entries(), {}, controller.signal)).rejects.toMatchObject({
        code: 'ABORTED',
      });
      expect(closed).toBe(true);
      expect(await headOf(backend, KEY)).toBeUndefined();
    });

    test.each(['error', 'skip', 'replace'] as const)(
      'of identical content is unchanged, ifExists %s',
      async (ifExists) => {
        const entries = [entry('one', 'aaa'), entry('two', 'bbb')];
        const first = succeeded(await publish(stream(entries)));
        const again = succeeded(await publish(stream(entries), { ifExists }));
        expect(again).toEqual({
          status: 'unchanged',
          revision: first.revision,
          newSegments: 0,
          newBytes: 0,
        });
        expect(await referencesTo(fixture.backend, 'aaa')).toBe(1);
      },
    );

    test('of what a put stored is unchanged, too, and the other way round', async () => {
      const entries = [entry('one', 'aaa'), entry('two', 'bbb')];
      await commit(fixture.backend, put(KEY, entries, { fields: FIELDS }));
      expect(succeeded(await publish(stream(entries))).status).toBe('unchanged');
      await commit(fixture.backend, remove(KEY));
      await publish(stream(entries));
      expect((await commit(fixture.backend, put(KEY, entries, { fields: FIELDS }))).status).toBe(
        'unchanged',
      );
    });

    test('of other content follows ifExists', async () => {
      const { backend } = fixture;
      const first = await commit(backend, put(KEY, [entry('old', 'aaa')]));
      expectFailed(await publish(stream([entry('new', 'bbb')])), 'ALREADY_EXISTS');
      const skipped = succeeded(await publish(stream([entry('new', 'bbb')]), { ifExists: 'skip' }));
      expect(skipped).toMatchObject({ status: 'skipped', revision: first.revision });
      expect(await contentOf(backend, KEY)).toEqual([{ body: 'old', segments: ['aaa'] }]);
      const replaced = succeeded(
        await publish(stream([entry('new', 'bbb')]), { ifExists: 'replace' }),
      );
      expect(replaced.status).toBe('replaced');
      expect(await contentOf(backend, KEY)).toEqual([{ body: 'new', segments: ['bbb'] }]);
      expect(await referencesTo(backend, 'aaa')).toBe(0);
      expect(await referencesTo(backend, 'bbb')).toBe(1);
    });

    test('follows ifRevision as it is at the end', async () => {
      const { backend } = fixture;
      const ifRevision = (await commit(backend, put(KEY, [entry('1')]))).revision as Revision;
      const options = { ifExists: 'replace', ifRevision } as const;
      async function* overtaken() {
        yield entry('2', 'aaa');
        await commit(backend, append(KEY, [entry('in between')]));
        yield entry('3');
      }
      expectFailed(await publish(overtaken(), options), 'CONFLICT');
      expect((await contentOf(backend, KEY))?.map(({ body }) => body)).toEqual(['1', 'in between']);
      const current = (await headOf(backend, KEY))?.revision as Revision;
      expect(
        succeeded(await publish(stream([entry('4')]), { ...options, ifRevision: current })).status,
      ).toBe('replaced');
    });

    test('of one new id from several sources at once creates it once', async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 5 }, (_, i) =>
          publish(stream([entry(`w${i}`, 'aaa'), entry('2', `own ${i}`)])),
        ),
      );
      expect(outcomes.map(codeOf).sort()).toEqual([
        ...Array<string>(4).fill('ALREADY_EXISTS'),
        'created',
      ]);
      expect(await referencesTo(fixture.backend, 'aaa')).toBe(1);
    });

    test('runs beside commits of the same segments', async () => {
      const { backend } = fixture;
      async function* entries() {
        for (let i = 0; i < 10; i++) {
          await commit(backend, put(`c${i}`, [entry('1', `text ${i}`)]));
          yield entry(`${i}`, `text ${i}`, `text ${i + 1}`);
        }
      }
      expect(succeeded(await publish(entries())).status).toBe('created');
      for (let i = 0; i < 10; i++) await commit(backend, remove(`c${i}`));
      await backend.collect({ graceMs: 0 });
      expect((await contentOf(backend, KEY))?.map(({ segments }) => segments)).toEqual(
        Array.from({ length: 10 }, (_, i) => [`text ${i}`, `text ${i + 1}`]),
      );
    });

    test.each([
      [
        'a segment whose bytes have another address',
        { ...segment('bytes'), bytes: () => Buffer.from('other') },
        'INVALID_ARGUMENT',
      ],
      ['a segment that is missing', withoutBytes(segment('missing')), 'NOT_FOUND'],
      ['a segment that is too long', segment(Buffer.alloc(4 * 1024 * 1024 + 1)), 'TOO_LARGE'],
    ] as const)('with %s fails and stores no manifest', async (_, wrong, code) => {
      expectFailed(await publish(stream([entry('1', 'good'), entry('2', wrong)])), code);
      expect(await headOf(fixture.backend, KEY)).toBeUndefined();
    });

    test('under an invalid id fails', async () => {
      const outcome = await publish(stream([entry('1')]), {
        key: { kind: 'blob', id: 'x'.repeat(513) },
      });
      expectFailed(outcome, 'INVALID_ARGUMENT');
    });
  });
}
