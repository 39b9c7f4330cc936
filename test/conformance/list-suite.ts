import { describe, expect, test } from 'vitest';
import type { ListFilter, ManifestHead, PutWrite } from '../../src/backends/contract/manifests.ts';
import { append, commit, entry, headOf, idsOf, put, remove } from './builders.ts';
import type { Fixture } from './fixture.ts';

export function describeListing(fixture: Fixture, many: number): void {
  /**
   * Ids 0 … count-1 with creation times that do not follow the order of archiving, many of them
   * equal.
   */
  async function fill(count: number): Promise<void> {
    for (let start = 0; start < count; start += 500) {
      const writes: PutWrite[] = [];
      for (let i = start; i < Math.min(count, start + 500); i++) {
        const fields = {
          application: `app ${i % 3}`,
          model: `model ${i % 5}`,
          createdAt: timeOf(i),
          logicalBytes: i,
        };
        writes.push(put(String(i), [entry(`body ${i}`)], { fields }));
      }
      await fixture.backend.commit(writes);
    }
  }
  const timeOf = (i: number) => 1000 + ((i * 7919) % 97);
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

  describe('list', () => {
    test('of an empty store is empty', async () => {
      expect(await idsOf(fixture.backend.list('conversation'))).toEqual([]);
    });

    test('gives whole heads', async () => {
      const { backend } = fixture;
      await commit(
        backend,
        put('x', [entry('1')], { fields: { application: 'a', model: 'm', createdAt: 1 } }),
      );
      const heads: ManifestHead[] = [];
      for await (const head of backend.list('conversation')) heads.push(head);
      expect(heads).toEqual([await headOf(backend, 'x')]);
      expect(Object.keys(heads[0] ?? {})).not.toContain('entries');
    });

    test('is in the order in which manifests were first put', async () => {
      const { backend } = fixture;
      for (const id of ['c', 'a', 'd', 'b']) await commit(backend, put(id, [entry('1')]));
      await commit(backend, put('a', [entry('2')], { ifExists: 'replace' }));
      await commit(backend, append('c', [entry('2')]));
      await commit(backend, remove('d'));
      await commit(backend, put('d', [entry('1')]));
      expect(await idsOf(backend.list('conversation'))).toEqual(['c', 'a', 'b', 'd']);
      expect(await idsOf(backend.list('conversation', { order: 'archived' }))).toEqual([
        'c',
        'a',
        'b',
        'd',
      ]);
    });

    test('is in the order of a batch within it', async () => {
      const ids = ['z', 'a', 'm', 'b', 'y'];
      await fixture.backend.commit(ids.map((id) => put(id, [])));
      expect(await idsOf(fixture.backend.list('conversation'))).toEqual(ids);
    });

    test('gives thousands, each once, in every order', async () => {
      const { backend } = fixture;
      await fill(many);
      const archived = numbers(many).map(String);
      expect(await idsOf(backend.list('conversation'))).toEqual(archived);
      const oldest = numbers(many).sort((a, b) => timeOf(a) - timeOf(b) || a - b);
      expect(await idsOf(backend.list('conversation', { order: 'oldest' }))).toEqual(
        oldest.map(String),
      );
      const newest = await idsOf(backend.list('conversation', { order: 'newest' }));
      // Among equal times, the interface leaves open which way the order of archiving runs.
      expect(newest.map((id) => timeOf(Number(id)))).toEqual(oldest.map(timeOf).reverse());
      expect([...newest].sort()).toEqual([...archived].sort());
    });

    test('orders times before 1970 and far in the future as numbers', async () => {
      const { backend } = fixture;
      const times = [0, -1, 8.64e15, 5e9, -8.64e15, 2 ** 31, 2 ** 32];
      for (const createdAt of times)
        await commit(backend, put(`at ${createdAt}`, [], { fields: { createdAt } }));
      const expected = [...times].sort((a, b) => a - b).map((time) => `at ${time}`);
      expect(await idsOf(backend.list('conversation', { order: 'oldest' }))).toEqual(expected);
      expect(await idsOf(backend.list('conversation', { order: 'newest' }))).toEqual(
        expected.reverse(),
      );
    });

    const filters: readonly (readonly [ListFilter, (i: number) => boolean])[] = [
      [{ application: 'app 1' }, (i: number) => i % 3 === 1],
      [{ model: 'model 4' }, (i: number) => i % 5 === 4],
      [{ application: 'app 2', model: 'model 0' }, (i: number) => i % 3 === 2 && i % 5 === 0],
      [{ since: 1050 }, (i: number) => timeOf(i) >= 1050],
      [{ until: 1050 }, (i: number) => timeOf(i) < 1050],
      [{ since: 1010, until: 1011 }, (i: number) => timeOf(i) === 1010],
      [{ since: 1010, until: 1010 }, () => false],
      [
        { since: 1020, until: 1060, application: 'app 0' },
        (i: number) => timeOf(i) >= 1020 && timeOf(i) < 1060 && i % 3 === 0,
      ],
      [{ application: 'APP 1' }, () => false],
      [{ application: '' }, () => false],
      [{ model: 'no such model' }, () => false],
    ];

    test('passes what fits a filter, in every order', async () => {
      const { backend } = fixture;
      await fill(300);
      for (const [filter, fits] of filters) {
        const message = JSON.stringify(filter);
        const expected = numbers(300).filter(fits);
        expect(await idsOf(backend.list('conversation', filter)), message).toEqual(
          expected.map(String),
        );
        const byTime = [...expected].sort((a, b) => timeOf(a) - timeOf(b) || a - b).map(String);
        expect(
          await idsOf(backend.list('conversation', { ...filter, order: 'oldest' })),
          message,
        ).toEqual(byTime);
        const newest = await idsOf(backend.list('conversation', { ...filter, order: 'newest' }));
        expect([...newest].sort(), message).toEqual(expected.map(String).sort());
      }
    });

    test('filters by the fields as they are now', async () => {
      const { backend } = fixture;
      await commit(
        backend,
        put('x', [entry('1')], { fields: { application: 'old', createdAt: 5 } }),
      );
      await commit(backend, append('x', [], { fields: { application: 'new', createdAt: 50 } }));
      expect(await idsOf(backend.list('conversation', { application: 'old' }))).toEqual([]);
      expect(await idsOf(backend.list('conversation', { application: 'new', since: 50 }))).toEqual([
        'x',
      ]);
    });

    test('may be left early and run several times at once', async () => {
      const { backend } = fixture;
      const count = fixture.size(1200);
      await fill(count);
      for await (const _ of backend.list('conversation')) break;
      const lists = [
        backend.list('conversation'),
        backend.list('conversation', { order: 'newest' }),
      ];
      const results = await Promise.all(lists.map(idsOf));
      expect(results.map((ids) => new Set(ids).size)).toEqual([count, count]);
    });

    test.each(['archived', 'oldest', 'newest'] as const)(
      'in order %s gives what exists throughout exactly once while others write',
      async (order) => {
        const { backend } = fixture;
        const count = fixture.size(3000);
        await fill(count);
        const seen: string[] = [];
        let turn = 0;
        for await (const { key } of backend.list('conversation', { order })) {
          seen.push(key.id);
          if (seen.length % (count / 20) !== 0) continue;
          turn += 1;
          // Multiples of 10 come and go; the others are appended to and replaced in place.
          const gone = String(turn * 10);
          const grown = String(turn * 10 + 1);
          const replaced = turn * 10 + 2;
          const fields = { application: 'new', createdAt: timeOf(replaced) };
          await backend.commit([
            remove(gone),
            put(`new ${turn}`, [entry('1')], { fields: { createdAt: 1000 + turn } }),
            append(grown, [entry('more')]),
            put(String(replaced), [entry('other')], { ifExists: 'replace', fields }),
          ]);
        }
        const throughout = numbers(count).filter((i) => i % 10 !== 0);
        const kept = seen.filter((id) => !id.startsWith('new') && Number(id) % 10 !== 0);
        expect(kept.map(Number).sort((a, b) => a - b)).toEqual(throughout);
        expect(new Set(seen).size).toBe(seen.length);
      },
    );
  });
}
