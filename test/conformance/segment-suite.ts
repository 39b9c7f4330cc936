import { describe, expect, test } from 'vitest';
import { MAX_SEGMENT_BYTES, type NewSegment } from '../../src/backends/contract/manifests.ts';
import { addressOf } from '../../src/core/address.ts';
import { randomBytes } from '../cas/random-bytes.ts';
import {
  append,
  commit,
  commitFails,
  contentOf,
  describeSegment,
  entry,
  headOf,
  put,
  referencesTo,
  remove,
  segment,
  succeeded,
  tokens,
  unknownAddress,
  withoutBytes,
} from './builders.ts';
import type { Fixture } from './fixture.ts';

export function describeSegments(fixture: Fixture): void {
  describe('segments', () => {
    test('are stored once, however many manifests reference them', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1', 'shared', 'mine')]));
      const second = await commit(backend, put('b', [entry('1', 'shared', 'yours')]));
      expect(second).toMatchObject({ newSegments: 1, newBytes: 5 });
      const locators = await backend.find([segment('shared').address, segment('shared').address]);
      expect(locators[0]).toBeDefined();
      expect(locators[0]).toBe(locators[1]);
      expect(await describeSegment(backend, 'shared')).toEqual({
        address: segment('shared').address,
        encoding: 'bytes',
        length: 6,
        references: 2,
      });
    });

    test('count the entries or the manifests that reference them', async () => {
      const { backend } = fixture;
      const byEntry = backend.capabilities.countsReferencesOf === 'entries';
      await commit(backend, put('a', [entry('1', 's', 's', 's'), entry('2', 's')]));
      expect(await referencesTo(backend, 's')).toBe(byEntry ? 2 : 1);
      await commit(backend, append('a', [entry('3', 's')]));
      await commit(backend, put('b', [entry('1', 's')]));
      expect(await referencesTo(backend, 's')).toBe(byEntry ? 4 : 2);
      await commit(backend, put('a', [entry('1', 's')], { ifExists: 'replace' }));
      expect(await referencesTo(backend, 's')).toBe(2);
      await commit(backend, put('a', [entry('other')], { ifExists: 'replace' }));
      expect(await referencesTo(backend, 's')).toBe(1);
      await commit(backend, remove('b'));
      expect(await referencesTo(backend, 's')).toBe(0);
    });

    test('count nothing for writes that did nothing', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1', 's')]));
      await commit(backend, put('a', [entry('1', 's')]));
      await commit(backend, put('a', [entry('2', 's', 's2')], { ifExists: 'skip' }));
      await commitFails(backend, put('a', [entry('2', 's')]), 'ALREADY_EXISTS');
      await commit(backend, append('a', [entry('2', 's')], { idempotencyKey: 'k' }));
      await commit(backend, append('a', [entry('2', 's')], { idempotencyKey: 'k' }));
      await commitFails(backend, append('nowhere', [entry('2', 's')]), 'NOT_FOUND');
      expect(await referencesTo(backend, 's')).toBe(
        backend.capabilities.countsReferencesOf === 'entries' ? 2 : 1,
      );
      expect(await referencesTo(backend, 's2')).toBe(0);
    });

    test('repeated inside an entry come back in order of use', async () => {
      const { backend } = fixture;
      const outcome = await commit(backend, put('a', [entry('1', 'x', 'y', 'x', 'x', 'z', 'y')]));
      expect(outcome).toMatchObject({ newSegments: 3, newBytes: 3 });
      expect(await contentOf(backend, 'a')).toEqual([
        { body: '1', segments: ['x', 'y', 'x', 'x', 'z', 'y'] },
      ]);
    });

    test('repeated inside a batch are stored once', async () => {
      const { backend } = fixture;
      const outcomes = await backend.commit(
        ['a', 'b', 'c'].map((id) => put(id, [entry(id, 'shared')])),
      );
      expect(outcomes.reduce((sum, outcome) => sum + succeeded(outcome).newSegments, 0)).toBe(1);
      expect(outcomes.reduce((sum, outcome) => sum + succeeded(outcome).newBytes, 0)).toBe(6);
      expect(await referencesTo(backend, 'shared')).toBe(3);
    });

    test('that one write replaces by themselves stay readable', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1', 'kept', 'gone')]));
      const outcome = await commit(
        backend,
        put('a', [entry('2', 'kept', 'new')], { ifExists: 'replace' }),
      );
      expect(outcome).toMatchObject({ status: 'replaced', newSegments: 1 });
      expect(await contentOf(backend, 'a')).toEqual([{ body: '2', segments: ['kept', 'new'] }]);
      expect(await referencesTo(backend, 'kept')).toBe(1);
    });

    test('may be named without their bytes where they are stored', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1', 's')]));
      const outcome = await commit(backend, put('b', [entry('1', withoutBytes(segment('s')))]));
      expect(outcome).toMatchObject({ status: 'created', newSegments: 0, newBytes: 0 });
      expect(await contentOf(backend, 'b')).toEqual([{ body: '1', segments: ['s'] }]);
    });

    test('named without bytes where they are missing fail the write', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('1', 's')]));
      const missing = entry('2', 's', 'good', withoutBytes(segment('missing')));
      await commitFails(backend, put('b', [missing]), 'NOT_FOUND');
      await commitFails(backend, put('a', [missing], { ifExists: 'replace' }), 'NOT_FOUND');
      await commitFails(backend, append('a', [missing]), 'NOT_FOUND');
      expect(await headOf(backend, 'b')).toBeUndefined();
      expect(await contentOf(backend, 'a')).toEqual([{ body: '1', segments: ['s'] }]);
      expect(await referencesTo(backend, 's')).toBe(1);
      expect(await referencesTo(backend, 'good')).toBe(0);
    });

    const refused: [string, () => NewSegment, 'INVALID_ARGUMENT' | 'TOO_LARGE'][] = [
      [
        'whose bytes have another address',
        () => ({ ...segment('bytes'), bytes: () => Buffer.from('Bytes') }),
        'INVALID_ARGUMENT',
      ],
      [
        'whose bytes are cut short',
        () => ({ ...segment('bytes'), bytes: () => Buffer.from('byte') }),
        'INVALID_ARGUMENT',
      ],
      [
        'whose bytes are missing altogether',
        () => ({ ...segment('bytes'), bytes: () => Buffer.alloc(0) }),
        'INVALID_ARGUMENT',
      ],
      [
        'of tokens that are not whole ids',
        () => ({ ...segment('bytes'), encoding: 'tokens' }),
        'INVALID_ARGUMENT',
      ],
      ['longer than 4 MiB', () => segment(Buffer.alloc(MAX_SEGMENT_BYTES + 1)), 'TOO_LARGE'],
      [
        'of tokens longer than 4 MiB',
        () => ({ ...segment(Buffer.alloc(MAX_SEGMENT_BYTES + 4)), encoding: 'tokens' }),
        'TOO_LARGE',
      ],
    ];
    test.each(refused)('%s are refused and nothing is stored', async (_, wrong, code) => {
      const { backend } = fixture;
      const bad = wrong();
      await commit(backend, put('a', [entry('1', 's')]));
      await commitFails(backend, put('b', [entry('1', 's', 'good'), entry('2', bad)]), code);
      await commitFails(backend, put('a', [entry('2', bad, 's')], { ifExists: 'replace' }), code);
      await commitFails(backend, append('a', [entry('2', 's', bad)]), code);
      expect(await backend.find([bad.address])).toEqual([undefined]);
      expect(await backend.find([addressOf(Buffer.from('Bytes'))])).toEqual([undefined]);
      expect(await headOf(backend, 'b')).toBeUndefined();
      expect(await contentOf(backend, 'a')).toEqual([{ body: '1', segments: ['s'] }]);
      expect(await referencesTo(backend, 's')).toBe(1);
      expect(await referencesTo(backend, 'good')).toBe(0);
    });

    test('refused in one write are stored by another of the same batch that has the right bytes', async () => {
      const { backend } = fixture;
      const wrong = { ...segment('bytes'), bytes: () => Buffer.from('wrong') };
      const [first, second] = await backend.commit([
        put('a', [entry('1', wrong)]),
        put('b', [entry('1', 'bytes')]),
      ]);
      expect(first).toMatchObject({ status: 'failed', error: { code: 'INVALID_ARGUMENT' } });
      expect(succeeded(second)).toMatchObject({ status: 'created', newSegments: 1 });
      expect(await contentOf(backend, 'b')).toEqual([{ body: '1', segments: ['bytes'] }]);
    });

    test('whose bytes cannot be had fail their write alone', async () => {
      const { backend } = fixture;
      const broken: NewSegment = {
        ...segment('bytes'),
        bytes: () => {
          throw new Error('the source is gone');
        },
      };
      const [first, second] = await backend.commit([
        put('a', [entry('1', broken)]),
        put('b', [entry('1', 's')]),
      ]);
      expect(first?.status).toBe('failed');
      expect(succeeded(second).status).toBe('created');
      expect(await headOf(backend, 'a')).toBeUndefined();
    });

    test.each([
      ['empty', Buffer.alloc(0)],
      ['of one byte', Buffer.from([0])],
      ['of zeros', Buffer.alloc(300_000)],
      ['that do not compress', randomBytes(1, 300_000)],
      ['of exactly 4 MiB', randomBytes(2, MAX_SEGMENT_BYTES)],
      ['that look like compressed ones', Buffer.from('28b52ffd2000010000', 'hex')],
    ])('%s come back as they were', async (_, bytes) => {
      const { backend } = fixture;
      const outcome = await commit(backend, put('a', [entry('1', segment(bytes))]));
      expect(outcome).toMatchObject({ newSegments: 1, newBytes: bytes.length });
      const [locator] = await backend.find([addressOf(bytes)]);
      const [fetched] = await backend.fetch([locator ?? expect.unreachable()]);
      expect(Buffer.compare(fetched ?? Buffer.from('nothing'), bytes)).toBe(0);
      expect(await describeSegment(backend, segment(bytes))).toMatchObject({
        length: bytes.length,
        references: 1,
      });
    });

    test('of every length from 0 to 600 keep apart', async () => {
      const { backend } = fixture;
      const all = Array.from({ length: fixture.size(600) + 1 }, (_, length) =>
        randomBytes(length, length),
      );
      await commit(backend, put('a', [entry('1', ...all.map(segment))]));
      const locators = await backend.find(all.map(addressOf));
      const fetched = await backend.fetch(
        locators.map((locator) => locator ?? expect.unreachable()),
      );
      expect(fetched.map(addressOf)).toEqual(all.map(addressOf));
      const described = await backend.describe(
        locators.map((locator) => locator ?? expect.unreachable()),
      );
      expect(described.map(({ address, length }) => [address, length])).toEqual(
        all.map((bytes) => [addressOf(bytes), bytes.length]),
      );
    });

    test.each([
      ['none', []],
      ['the smallest and the largest', [0, 1, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]],
      ['a run of equal ones', Array<number>(5000).fill(50_256)],
      ['a vocabulary', Array.from({ length: 100_000 }, (_, i) => (i * 7919) % 200_000)],
    ])('of tokens, %s, come back as they were', async (_, ids) => {
      const { backend } = fixture;
      const wanted = tokens(ids);
      await commit(backend, put('a', [entry('1', wanted)]));
      const description = await describeSegment(backend, wanted);
      expect(description).toMatchObject({
        address: wanted.address,
        encoding: 'tokens',
        length: ids.length * 4,
      });
      const [locator] = await backend.find([wanted.address]);
      const [fetched] = await backend.fetch([locator ?? expect.unreachable()]);
      expect(
        Buffer.compare(fetched ?? Buffer.from('nothing'), wanted.bytes?.() ?? Buffer.alloc(0)),
      ).toBe(0);
    });

    test('of tokens and of bytes are one where their canonical bytes are', async () => {
      const { backend } = fixture;
      const asTokens = tokens([1, 2, 3]);
      await commit(backend, put('a', [entry('1', asTokens)]));
      const outcome = await commit(
        backend,
        put('b', [entry('1', { ...asTokens, encoding: 'bytes' })]),
      );
      expect(outcome).toMatchObject({ newSegments: 0 });
      expect(await referencesTo(backend, asTokens)).toBe(2);
      expect(await contentOf(backend, 'a')).toEqual(await contentOf(backend, 'b'));
    });
  });

  describe('fetch, describe and find', () => {
    test('answer in the order asked, repeats included', async () => {
      const { backend } = fixture;
      const texts = Array.from({ length: fixture.size(2000) }, (_, i) => `text number ${i}`);
      await backend.commit(texts.map((text, i) => put(`c${i}`, [entry('1', text)])));
      const asked = Array.from(
        { length: 2 * texts.length },
        (_, i) => texts[(i * 7919) % texts.length] ?? '',
      );
      const locators = await backend.find(asked.map((text) => segment(text).address));
      const known = locators.map((locator) => locator ?? expect.unreachable());
      expect((await backend.fetch(known)).map((bytes) => Buffer.from(bytes).toString())).toEqual(
        asked,
      );
      const addresses = asked.map((text) => segment(text).address);
      expect((await backend.describe(known)).map(({ address }) => address)).toEqual(addresses);
      expect(await backend.addresses(known)).toEqual(addresses);
    });

    test('of nothing answer nothing', async () => {
      const { backend } = fixture;
      expect(await backend.fetch([])).toEqual([]);
      expect(await backend.describe([])).toEqual([]);
      expect(await backend.addresses([])).toEqual([]);
      expect(await backend.find([])).toEqual([]);
    });

    test('find what is stored and nothing else', async () => {
      const { backend } = fixture;
      await commit(backend, put('a', [entry('inline only', 's')]));
      const { address } = segment('s');
      const near = `${address.slice(0, 63)}${address.endsWith('0') ? '1' : '0'}` as typeof address;
      const inline = addressOf(Buffer.from('inline only'));
      const found = await backend.find([unknownAddress(), address, near, inline]);
      expect(found.map((locator) => locator !== undefined)).toEqual([false, true, false, false]);
    });
  });
}
