import { describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backends/contract/backend.ts';
import type { ManifestKind } from '../../src/backends/contract/manifests.ts';
import type { ManifestSurvey } from '../../src/backends/contract/usage.ts';
import { append, commit, entry, headOf, put, remove, segment, tokens } from './builders.ts';
import type { Fixture } from './fixture.ts';

async function surveysOf(
  backend: Backend,
  kind: ManifestKind = 'conversation',
): Promise<ManifestSurvey[]> {
  const surveys: ManifestSurvey[] = [];
  for await (const survey of backend.survey())
    if (survey.head.key.kind === kind) surveys.push(survey);
  return surveys.sort((a, b) => (a.head.key.id < b.head.key.id ? -1 : 1));
}

export function describeSurveys(fixture: Fixture): void {
  describe('survey', () => {
    test('returns heads, sizes and uses', async () => {
      const { backend } = fixture;
      await commit(
        backend,
        put('a', [entry('body', 'twice', 'once', 'twice')], { fields: { application: 'x' } }),
      );
      await commit(backend, put('empty', []));
      const [a, empty] = await surveysOf(backend);
      expect(a?.head).toEqual(await headOf(backend, 'a'));
      expect(a).toMatchObject({ bodyBytes: 4 });
      const uses = Object.fromEntries(
        a?.segments.map(({ address, uses: count }) => [address, count]) ?? [],
      );
      expect(uses).toEqual({ [segment('twice').address]: 2, [segment('once').address]: 1 });
      expect(empty).toMatchObject({ head: { key: { id: 'empty' } }, bodyBytes: 0, segments: [] });
    });

    test('splits what is shared so that the shares of a segment make 1', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1', 'shared', 'only a'), entry('2', 'shared')]));
      await commit(backend, put('b', [entry('1', 'shared')]));
      await commit(backend, append('b', [entry('2', 'more')]));
      await commit(backend, put({ kind: 'pin', id: 'p' }, [entry('1', 'shared')]));
      await commit(backend, put('gone', [entry('1', 'shared')]));
      await commit(backend, remove('gone'));
      const shares = new Map<string, number>();
      for (const kind of ['conversation', 'pin'] as const) {
        for (const { segments } of await surveysOf(backend, kind)) {
          for (const { address, share, references } of segments) {
            shares.set(address, (shares.get(address) ?? 0) + share);
            expect(references).toBeGreaterThanOrEqual(
              address === segment('shared').address ? 3 : 1,
            );
          }
        }
      }
      expect([...shares.keys()].sort()).toEqual(
        ['shared', 'only a', 'more'].map((text) => segment(text).address).sort(),
      );
      for (const share of shares.values()) expect(share).toBeCloseTo(1, 9);
    });

    test('returns canonical lengths, and no more stored than there is', async () => {
      const { backend } = fixture;
      const ids = tokens(Array.from({ length: 1000 }, (_, id) => id));
      const text = 'varve '.repeat(5000);
      await commit(backend, put('a', [entry('b'.repeat(3000), ids, text)]));
      const [survey] = await surveysOf(backend);
      const byAddress = new Map(survey?.segments.map((each) => [each.address, each]));
      expect(byAddress.get(ids.address)).toMatchObject({ encoding: 'tokens', length: 4000 });
      expect(byAddress.get(segment(text).address)).toMatchObject({
        encoding: 'bytes',
        length: 30_000,
      });
      const taken =
        survey?.segments.reduce(
          (sum, { storedBytes }) => sum + storedBytes,
          survey.bodyStoredBytes,
        ) ?? 0;
      expect(taken).toBeGreaterThan(0);
      expect(taken).toBeLessThanOrEqual((await backend.usage()).storedBytes + 1e-6);
    });

    test('returns every manifest of every kind once', async () => {
      const { backend } = fixture;
      const ids = Array.from({ length: 150 }, (_, n) => `c${String(n).padStart(3, '0')}`);
      await backend.commit(ids.map((id) => put(id, [entry(id, 'shared')])));
      await commit(backend, put({ kind: 'blob', id: 'b' }, [entry('blob')]));
      expect((await surveysOf(backend)).map(({ head }) => head.key.id)).toEqual(ids);
      expect((await surveysOf(backend, 'blob')).map(({ head }) => head.key.id)).toEqual(['b']);
      expect(await surveysOf(backend, 'pin')).toEqual([]);
    });
  });
}
