import { beforeEach, describe, expect, test } from 'vitest';
import { encodeRecord } from '../../../src/backends/object/format/manifest-codec.ts';
import { encodeSidecar, type SidecarContent } from '../../../src/backends/object/format/sidecar.ts';
import { append, auditOf, commit, entry, put, remove } from '../../conformance/builders.ts';
import { ADDRESS, collected } from './damage.ts';
import { DamagedStore, MANIFEST, TEXT } from './damaged-store.ts';

/**
 * What a later version may have written stays as it is, and what this version writes can be read.
 */

let store: DamagedStore;
beforeEach(async () => {
  store = await DamagedStore.open();
});

const refusal = {
  status: 'failed',
  error: { code: 'UNSUPPORTED_FORMAT', message: expect.stringMatching(/labels/) },
};

/** Where a later version may add fields to a manifest. */
const PLACES: readonly [string, (header: Record<string, unknown>) => Record<string, unknown>][] = [
  ['itself', () => ({ labels: ['x'] })],
  ['its content', ({ current }) => ({ current: { ...(current as object), labels: ['x'] } })],
  [
    'its hold',
    ({ current }) => ({ current: { ...(current as object), hold: { since: 1, labels: ['x'] } } }),
  ],
  [
    'an attempt',
    () => ({ pending: [{ nonce: 'n', beat: 'b', leaseMs: 1, adds: [], labels: ['x'] }] }),
  ],
  [
    'a spilled body',
    ({ current }) => {
      const body = { digest: ADDRESS.a, offset: 0, length: 0, parts: [], labels: ['x'] };
      return { current: { ...(current as object), entries: [[body, []]] } };
    },
  ],
];

test.each(PLACES)(
  'a manifest with an unknown field of %s is not written, and nothing of it is taken',
  async (_, add) => {
    await store.alterHeader(MANIFEST.b, add);
    const before = await store.bytes(MANIFEST.b);
    store.clock.time += 60 * 60_000;
    const outcomes = await store.use((backend) =>
      backend.commit([
        put('b', [entry('other')], { ifExists: 'replace' }),
        append('b', [entry('more')]),
        remove('b'),
        put('c', [entry('c', TEXT.b)]),
        remove('a'),
      ]),
    );
    expect(outcomes.slice(0, 3)).toMatchObject([refusal, refusal, refusal]);
    expect(outcomes.slice(3)).toMatchObject([{ status: 'created' }, { status: 'deleted' }]);
    await store.findings({ repair: true });
    await collected(store, { full: true });
    await collected(store, { erase: true });
    expect(await store.bytes(MANIFEST.b)).toEqual(before);
    expect((await store.sidecar(TEXT.shared)).refs).toHaveLength(1);
  },
);

test('a sidecar with an unknown field is not written, and its segment is not collected', async () => {
  await store.alterSidecar(TEXT.b, () => ({ tier: 'cold' }));
  const before = await store.bytes(store.sidecarKey(TEXT.b));
  await expect(
    store.use((backend) => commit(backend, put('c', [entry('c', TEXT.b)]))),
  ).rejects.toMatchObject({
    code: 'UNSUPPORTED_FORMAT',
  });
  await store.use((backend) => commit(backend, remove('b')));
  await store.findings({ repair: true });
  await collected(store, { full: true });
  expect(await store.bytes(store.sidecarKey(TEXT.b))).toEqual(before);
  expect(await store.keys(`segments/${ADDRESS.b}/`)).toHaveLength(1);
});

test('a descriptor with an unknown field, or of a later format, opens nothing', async () => {
  const descriptor = JSON.parse((await store.bytes('varve.json')).toString());
  for (const change of [{ tiers: true }, { format: 3 }, { hash: 'blake3' }]) {
    await store.write('varve.json', JSON.stringify({ ...descriptor, ...change }));
    for (const readOnly of [true, false]) {
      await expect(store.backend({ readOnly })).rejects.toMatchObject({
        code: 'UNSUPPORTED_FORMAT',
      });
    }
  }
  await store.write('varve.json', JSON.stringify({ ...descriptor, format: 9000 }));
  await expect(store.backend()).rejects.toMatchObject({ code: 'CORRUPT' });
});

test('a hint of a later version stays for that version', async () => {
  await store.use((backend) => commit(backend, remove('b')));
  const [hint = ''] = await store.keys('hints/releases/');
  const stored = JSON.parse((await store.bytes(hint)).toString());
  for (const later of [
    { ...stored, pages: ['p'] },
    { ...stored, v: 2 },
  ]) {
    await store.write(hint, JSON.stringify(later));
    await collected(store);
    await collected(store, { full: true });
    expect(JSON.parse((await store.bytes(hint)).toString())).toEqual(later);
  }
});

describe('nothing is stored that cannot be read again', () => {
  test('of a manifest: the write fails alone, and leaves nothing', async () => {
    const before = await store.snapshot();
    const outcomes = await store.use(async (backend) => {
      const written = await backend
        .commit([
          put('c', [entry('1', 'text of c')], { fields: { application: 5 as never } }),
          put('d', [entry('1')], { fields: { model: {} as never } }),
        ])
        .catch((error: unknown) => [{ status: 'failed', error }]);
      const [good] = await backend.commit([put('e', [entry('1')])]);
      expect(good).toMatchObject({ status: 'created' });
      expect((await auditOf(backend)).findings).toEqual([]);
      return written;
    });
    for (const outcome of outcomes) expect(outcome).toMatchObject({ status: 'failed' });
    const added = (await store.keys('manifests/')).filter((key) => !before.has(key));
    for (const key of added) expect((await store.record(key)).pending).toEqual([]);
  });

  test.each([
    ['an application', { application: 5 }],
    ['a time', { createdAt: Number.NaN }],
    ['a hold', { hold: { since: '1' } }],
    ['a field that there is not', { labels: ['x'] }],
  ])('of a record with %s that no reader takes', async (_, fields) => {
    const record = await store.record(MANIFEST.a);
    const current = { ...record.current, ...fields } as typeof record.current;
    expect(() => encodeRecord({ ...record, current })).toThrow(
      expect.objectContaining({ code: 'INTERNAL', message: expect.stringContaining(MANIFEST.a) }),
    );
  });

  test('of a sidecar', async () => {
    const sidecar: SidecarContent = await store.sidecar(TEXT.a);
    for (const change of [{ gen: 'x' }, { since: Number.NaN, refs: [] }, { refs: [5] }]) {
      expect(() => encodeSidecar({ ...sidecar, ...change } as SidecarContent, 'nonce')).toThrow(
        expect.objectContaining({ code: 'INTERNAL' }),
      );
    }
  });
});
