import { describe, expect, test } from 'vitest';
import type { Revision } from '../../src/backends/contract/manifests.ts';
import {
  append,
  codeOf,
  commit,
  commitFails,
  contentOf,
  entry,
  headOf,
  put,
  remove,
} from './builders.ts';
import type { Fixture } from './fixture.ts';

export function describeAppends(fixture: Fixture): void {
  describe('append', () => {
    test('adds entries at the end and sizes, and leaves the rest as it is', async () => {
      const { backend } = fixture;
      await commit(
        backend,
        put('x', [entry('1', 'aaa')], { fields: { application: 'desk', createdAt: 7 } }),
      );
      const outcome = await commit(
        backend,
        append('x', [entry('2', 'aaa', 'bb'), entry('3')], { logicalBytes: 23 }),
      );
      expect(outcome).toMatchObject({ status: 'appended', newSegments: 1, newBytes: 2 });
      expect(await headOf(backend, 'x')).toMatchObject({
        revision: outcome.revision,
        application: 'desk',
        createdAt: 7,
        logicalBytes: 123,
        entryCount: 3,
      });
      expect(await contentOf(backend, 'x')).toEqual([
        { body: '1', segments: ['aaa'] },
        { body: '2', segments: ['aaa', 'bb'] },
        { body: '3', segments: [] },
      ]);
    });

    test('leaves the last entry to be read alone', async () => {
      const { backend } = fixture;
      const newest = async () => {
        const [manifest] = await backend.read([{ kind: 'conversation', id: 'x' }], {
          entries: 'newest',
        });
        return manifest?.entries.map(({ body }) => Buffer.from(body).toString());
      };
      await commit(backend, put('x', []));
      expect(await newest()).toEqual([]);
      for (const body of ['1', '2', '3']) {
        await commit(backend, append('x', [entry(body, 'aaa')]));
        expect(await newest()).toEqual([body]);
      }
      await commit(backend, put('x', [entry('4')], { ifExists: 'replace' }));
      expect(await newest()).toEqual(['4']);
    });

    test('sets the fields that it gives', async () => {
      const { backend } = fixture;
      await commit(
        backend,
        put('x', [], { fields: { application: 'desk', model: 'm-1', createdAt: 7 } }),
      );
      await commit(
        backend,
        append('x', [entry('1')], { fields: { model: 'm-2', expiresAt: 9e15 } }),
      );
      expect(await headOf(backend, 'x')).toMatchObject({
        application: 'desk',
        model: 'm-2',
        createdAt: 7,
        expiresAt: 9e15,
        logicalBytes: 110,
      });
    });

    test('to what does not exist fails', async () => {
      await commitFails(fixture.backend, append('x', [entry('1')]), 'NOT_FOUND');
      expect(await headOf(fixture.backend, 'x')).toBeUndefined();
    });

    test('of the same entry again adds it again: equal messages in a row are legitimate', async () => {
      const { backend } = fixture;
      await commit(backend, put('x', []));
      for (let i = 0; i < 3; i++) await commit(backend, append('x', [entry('hi', 'aaa')]));
      expect((await headOf(backend, 'x'))?.entryCount).toBe(3);
    });

    test('of an idempotency key happens once, whatever ifRevision says', async () => {
      const { backend } = fixture;
      const ifRevision = (await commit(backend, put('x', []))).revision as Revision;
      const once = append('x', [entry('1', 'aaa')], { idempotencyKey: 'k', ifRevision });
      const first = await commit(backend, once);
      expect(first.status).toBe('appended');
      const again = await commit(backend, once);
      expect(again).toEqual({
        status: 'unchanged',
        revision: first.revision,
        newSegments: 0,
        newBytes: 0,
      });
      await commit(backend, append('x', [entry('2')], { idempotencyKey: 'other' }));
      expect((await commit(backend, once)).status).toBe('unchanged');
      expect((await headOf(backend, 'x'))?.entryCount).toBe(2);
    });

    test('remembers many idempotency keys, each for one manifest and one life of it', async () => {
      const { backend } = fixture;
      await backend.commit([put('x', []), put('y', [])]);
      const keys = Array.from({ length: 40 }, (_, i) => `key ${i}`);
      for (const idempotencyKey of keys)
        await commit(backend, append('x', [entry('a')], { idempotencyKey }));
      for (const idempotencyKey of keys) {
        expect((await commit(backend, append('x', [entry('a')], { idempotencyKey }))).status).toBe(
          'unchanged',
        );
      }
      expect(
        (await commit(backend, append('y', [entry('a')], { idempotencyKey: 'key 0' }))).status,
      ).toBe('appended');
      await commit(backend, remove('x'));
      await commit(backend, put('x', []));
      expect(
        (await commit(backend, append('x', [entry('a')], { idempotencyKey: 'key 0' }))).status,
      ).toBe('appended');
    });

    test('takes idempotency keys of up to 64 bytes', async () => {
      const { backend } = fixture;
      await commit(backend, put('x', []));
      const longest = append('x', [entry('a')], { idempotencyKey: '🗻'.repeat(16) });
      expect((await commit(backend, longest)).status).toBe('appended');
      expect((await commit(backend, longest)).status).toBe('unchanged');
      await commitFails(
        backend,
        append('x', [], { idempotencyKey: 'k'.repeat(65) }),
        'INVALID_ARGUMENT',
      );
    });

    test('of many writers at once lands each once', async () => {
      const { backend } = fixture;
      await commit(backend, put('x', []));
      const bodies = Array.from({ length: 60 }, (_, i) => `b${String(i).padStart(2, '0')}`);
      const outcomes = await Promise.all(
        bodies.flatMap((body) => {
          const write = append('x', [entry(body, 'aaa', body)], { idempotencyKey: body });
          return [backend.commit([write]), backend.commit([write])];
        }),
      );
      expect(outcomes.flat().map(codeOf).sort()).toEqual([
        ...Array<string>(60).fill('appended'),
        ...Array<string>(60).fill('unchanged'),
      ]);
      expect((await contentOf(backend, 'x'))?.map(({ body }) => body).sort()).toEqual(bodies);
    });
  });
}
