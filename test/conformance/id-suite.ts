import { describe, expect, test } from 'vitest';
import { MANIFEST_KINDS, MAX_ID_BYTES } from '../../src/backends/contract/manifests.ts';
import {
  commit,
  commitFails,
  contentOf,
  entry,
  headOf,
  idsOf,
  put,
  remove,
  succeeded,
} from './builders.ts';
import type { Fixture } from './fixture.ts';

/**
 * Ids that differ, though a file system, a normaliser, a C string or an escaping may think
 * otherwise.
 */
const AWKWARD_IDS = [
  'plain',
  'Plain',
  'PLAIN',
  'ß',
  'SS',
  'İ',
  'i̇',
  'é'.normalize('NFC'),
  'é'.normalize('NFD'),
  'a/b',
  'a//b',
  'a/../b',
  '../../etc/passwd',
  '/',
  '.',
  '..',
  'a.',
  'a',
  'a ',
  ' a',
  '\0',
  'a\0',
  'a\0b',
  '\n',
  'a\r\nb',
  'con',
  'NUL.txt',
  'a\\b',
  'a%2Fb',
  'a%2fb',
  'a%b',
  '%',
  "';--",
  '*?[a-z]',
  '👩‍👩‍👧',
  '👩',
  '\u{10ffff}',
  '\uffff',
  '\ufeffa',
  '__proto__',
  'constructor',
  'x'.repeat(MAX_ID_BYTES),
  `${'x'.repeat(MAX_ID_BYTES - 1)}y`,
  `${'x'.repeat(MAX_ID_BYTES - 1)}Y`,
  '🗻'.repeat(MAX_ID_BYTES / 4),
  '\0'.repeat(MAX_ID_BYTES),
];

export function describeIds(fixture: Fixture): void {
  describe('ids', () => {
    test('are compared byte by byte, whatever is in them', async () => {
      const { backend } = fixture;
      const outcomes = await backend.commit(
        AWKWARD_IDS.map((id, i) => put(id, [entry(`body ${i}`)])),
      );
      expect(outcomes.map((outcome) => succeeded(outcome).status)).toEqual(
        AWKWARD_IDS.map(() => 'created'),
      );
      for (const [i, id] of AWKWARD_IDS.entries()) {
        expect(await contentOf(backend, id)).toEqual([{ body: `body ${i}`, segments: [] }]);
        expect((await headOf(backend, id))?.key).toEqual({ kind: 'conversation', id });
      }
      expect(await idsOf(backend.list('conversation'))).toEqual(AWKWARD_IDS);
      for (const id of AWKWARD_IDS)
        expect((await commit(backend, remove(id))).status).toBe('deleted');
      expect(await idsOf(backend.list('conversation'))).toEqual([]);
    });

    test('of different kinds never meet', async () => {
      const { backend } = fixture;
      const kinds = MANIFEST_KINDS;
      for (const kind of kinds) await commit(backend, put({ kind, id: 'x' }, [entry(kind)]));
      await commit(backend, remove({ kind: 'blob', id: 'x' }));
      expect(await contentOf(backend, { kind: 'conversation', id: 'x' })).toEqual([
        { body: 'conversation', segments: [] },
      ]);
      expect(await contentOf(backend, { kind: 'blob', id: 'x' })).toBeUndefined();
      expect(await contentOf(backend, { kind: 'pin', id: 'x' })).toEqual([
        { body: 'pin', segments: [] },
      ]);
      expect(await idsOf(backend.list('blob'))).toEqual([]);
    });

    test.each([
      ['empty', ''],
      ['longer than 512 bytes', 'x'.repeat(MAX_ID_BYTES + 1)],
      [
        'longer than 512 bytes in UTF-8, though shorter in characters',
        'é'.repeat(MAX_ID_BYTES / 2 + 1),
      ],
      ['not well-formed', 'a\ud800b'],
    ])('that are %s are refused, alone', async (_, id) => {
      const { backend } = fixture;
      await commitFails(backend, put(id, []), 'INVALID_ARGUMENT');
      const [, good] = await backend.commit([put(id, []), put('good', [])]);
      expect(succeeded(good).status).toBe('created');
      expect(await idsOf(backend.list('conversation'))).toEqual(['good']);
    });

    test('that nothing is stored under are answered in their places', async () => {
      const { backend } = fixture;
      await commit(backend, put('x', []));
      const keys = ['a', 'x', 'b', 'x'].map((id) => ({ kind: 'conversation' as const, id }));
      expect((await backend.read(keys)).map((manifest) => manifest?.key.id)).toEqual([
        undefined,
        'x',
        undefined,
        'x',
      ]);
      expect((await backend.heads(keys)).map((head) => head?.key.id)).toEqual([
        undefined,
        'x',
        undefined,
        'x',
      ]);
      expect(await backend.read([])).toEqual([]);
      expect(await backend.heads([])).toEqual([]);
    });
  });
}
