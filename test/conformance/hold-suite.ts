import { describe, expect, test } from 'vitest';
import { MAX_REASON_BYTES } from '../../src/backends/contract/manifests.ts';
import {
  append,
  commit,
  commitFails,
  contentOf,
  conversation,
  entry,
  expectFailed,
  headOf,
  hold,
  idsOf,
  put,
  remove,
  stream,
} from './builders.ts';
import type { Fixture } from './fixture.ts';

export function describeHolds(fixture: Fixture): void {
  describe('a hold', () => {
    test('is in the head, with when and why, and leaves revision and content', async () => {
      const { backend } = fixture;
      const before = Date.now() - 2000;
      const { revision } = await commit(backend, put('a', [entry('1', 'text')]));
      expect((await headOf(backend, 'a'))?.hold).toBeUndefined();
      expect(await commit(backend, hold('a', true, 'case 12'))).toMatchObject({
        status: 'held',
        revision,
      });
      const held = await headOf(backend, 'a');
      expect(held).toMatchObject({ revision, hold: { reason: 'case 12' } });
      expect(held?.hold?.since).toBeGreaterThan(before);
      expect(await contentOf(backend, 'a')).toEqual([{ body: '1', segments: ['text'] }]);
    });

    test('forbids to delete, with a revision or without, until it is released', async () => {
      const { backend } = fixture;
      const { revision } = await commit(backend, put('a', [entry('1', 'text')]));
      await commit(backend, hold('a'));
      await commitFails(backend, remove('a'), 'HELD');
      if (revision !== undefined)
        await commitFails(backend, remove('a', { ifRevision: revision }), 'HELD');
      expect(await contentOf(backend, 'a')).toEqual([{ body: '1', segments: ['text'] }]);
      expect(await commit(backend, hold('a', false))).toMatchObject({
        status: 'released',
        revision,
      });
      expect((await headOf(backend, 'a'))?.hold).toBeUndefined();
      expect(await commit(backend, remove('a'))).toMatchObject({ status: 'deleted' });
    });

    test('forbids to replace, by put and by publish, and lets what changes nothing pass', async () => {
      const { backend } = fixture;
      const same = [entry('1', 'text')];
      await commit(backend, put('a', same));
      await commit(backend, hold('a'));
      const other = put('a', [entry('2', 'other')], { ifExists: 'replace' });
      await commitFails(backend, other, 'HELD');
      const { entries, fields, ...rest } = other;
      expectFailed(await backend.publish(rest, stream(entries), () => fields), 'HELD');
      await commitFails(backend, { ...other, ifExists: 'error' }, 'ALREADY_EXISTS');
      expect(await commit(backend, put('a', same, { ifExists: 'replace' }))).toMatchObject({
        status: 'unchanged',
      });
      expect(await commit(backend, { ...other, ifExists: 'skip' })).toMatchObject({
        status: 'skipped',
      });
      expect(await contentOf(backend, 'a')).toEqual([{ body: '1', segments: ['text'] }]);
    });

    test('lets append, and outlives it', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1', 'text')]));
      await commit(backend, hold('a'));
      expect(await commit(backend, append('a', [entry('2', 'more')]))).toMatchObject({
        status: 'appended',
      });
      await commitFails(backend, remove('a'), 'HELD');
      expect((await headOf(backend, 'a'))?.entryCount).toBe(2);
    });

    test('keeps what has expired from collections, which take it once it is released', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1', 'kept')], { fields: { expiresAt: 1 } }));
      await commit(backend, put('b', [entry('1', 'taken')], { fields: { expiresAt: 1 } }));
      await commit(backend, hold('a'));
      expect(await backend.collect({ graceMs: 0, dryRun: true })).toMatchObject({
        expiredManifests: 1,
      });
      expect(await backend.collect({ graceMs: 0 })).toMatchObject({ expiredManifests: 1 });
      expect(await contentOf(backend, 'a')).toEqual([{ body: '1', segments: ['kept'] }]);
      expect(await headOf(backend, 'b')).toBeUndefined();
      await commit(backend, hold('a', false));
      expect(await backend.collect({ graceMs: 0 })).toMatchObject({ expiredManifests: 1 });
      expect(await headOf(backend, 'a')).toBeUndefined();
    });

    test('placed again keeps its time and takes a new reason', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', []));
      await commit(backend, hold('a', true, 'first'));
      const first = (await headOf(backend, 'a'))?.hold;
      expect(await commit(backend, hold('a'))).toMatchObject({ status: 'unchanged' });
      expect(await commit(backend, hold('a', true, 'first'))).toMatchObject({
        status: 'unchanged',
      });
      expect((await headOf(backend, 'a'))?.hold).toEqual(first);
      expect(await commit(backend, hold('a', true, 'second'))).toMatchObject({ status: 'held' });
      expect((await headOf(backend, 'a'))?.hold).toEqual({ since: first?.since, reason: 'second' });
      expect(await commit(backend, hold('a', false))).toMatchObject({ status: 'released' });
      expect(await commit(backend, hold('a', false))).toMatchObject({ status: 'unchanged' });
    });

    test('needs a manifest, the revision asked for, and a reason that is text', async () => {
      const { backend } = fixture;
      await commitFails(backend, hold('nothing'), 'NOT_FOUND');
      await commitFails(backend, hold('nothing', false), 'NOT_FOUND');
      const { revision } = await commit(backend, put('a', []));
      await commit(backend, append('a', [entry('1')]));
      if (revision !== undefined)
        await commitFails(backend, { ...hold('a'), ifRevision: revision }, 'CONFLICT');
      await commitFails(
        backend,
        hold('a', true, 'x'.repeat(MAX_REASON_BYTES + 1)),
        'INVALID_ARGUMENT',
      );
      await commitFails(backend, hold('a', true, '\ud800'), 'INVALID_ARGUMENT');
      expect((await headOf(backend, 'a'))?.hold).toBeUndefined();
    });

    test('decides over a delete and a put of the same batch, in order', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1')]));
      const outcomes = await backend.commit([
        hold('a'),
        remove('a'),
        hold('a', false),
        put('a', [entry('2')], { ifExists: 'replace' }),
      ]);
      expect(
        outcomes.map((outcome) =>
          outcome.status === 'failed' ? outcome.error.code : outcome.status,
        ),
      ).toEqual(['held', 'HELD', 'released', 'replaced']);
    });

    test('is of one kind and id, and can be listed by', async () => {
      const { backend } = fixture;
      for (const id of ['a', 'b', 'c']) await commit(backend, put(id, [entry(id)]));
      await commit(backend, put({ kind: 'blob', id: 'b' }, [entry('blob')]));
      await commit(backend, hold('b', true, 'why'));
      expect(await idsOf(backend.list('conversation', { held: true }))).toEqual(['b']);
      expect(await idsOf(backend.list('conversation', { held: false }))).toEqual(['a', 'c']);
      expect(await idsOf(backend.list('blob', { held: true }))).toEqual([]);
      expect(await commit(backend, remove({ kind: 'blob', id: 'b' }))).toMatchObject({
        status: 'deleted',
      });
    });

    test('is gone with its manifest: the same id put again is free', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1')]));
      await commit(backend, hold('a'));
      await commit(backend, hold('a', false));
      await commit(backend, remove('a'));
      await commit(backend, put('a', [entry('1')]));
      expect((await headOf(backend, 'a'))?.hold).toBeUndefined();
    });

    test('outlives the process that placed it', async (context) => {
      const { reopen } = fixture.opened;
      if (!reopen) return context.skip();
      await commit(fixture.backend, put('a', [entry('1')]));
      await commit(fixture.backend, hold('a', true, 'why'));
      await fixture.backend.close();
      const again = await reopen();
      try {
        const [outcome] = await again.commit([remove('a')]);
        expectFailed(outcome, 'HELD');
        expect((await again.heads([conversation('a')]))[0]?.hold?.reason).toBe('why');
      } finally {
        await again.close();
      }
    });
  });
}
