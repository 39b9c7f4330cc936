import { describe, expect, test } from 'vitest';
import { segmentKey } from '../../../src/backends/object/format/keys.ts';
import {
  append,
  commit,
  contentOf,
  entry,
  idsOf,
  put,
  remove,
  segment,
} from '../../conformance/builders.ts';
import { ADDRESS, collected } from './damage.ts';
import { DamagedStore, OTHER_GENERATION, TEXT } from './damaged-store.ts';

/** After any damage from outside, a repair or a put of the same bytes makes the store whole. */

interface Ruin {
  readonly name: string;
  readonly ruin: (store: DamagedStore) => Promise<void>;
  /** Whether the bytes are still stored. Default: true. */
  readonly isLost?: true;
  /** Whether puts are refused until a repair. Default: false. */
  readonly isUnreadable?: true;
}

const shared = (store: DamagedStore) => store.dataKey(TEXT.shared);
const alter = (change: object) => (store: DamagedStore) =>
  store.alterSidecar(TEXT.shared, () => ({ ...change }));
const unsidecar = (store: DamagedStore) =>
  store.write(store.sidecarKey(TEXT.shared), 'not a sidecar');
const NAMELESS = { refs: [], refCount: 0, since: 1 };

/** Deletes the data that manifests reference, then does the rest. */
function withoutData(rest: (store: DamagedStore) => Promise<void> = async () => {}) {
  return async (store: DamagedStore) => {
    await store.objects.delete([await shared(store)]);
    await rest(store);
  };
}

const RUINS: readonly Ruin[] = [
  { name: 'a sidecar without names', ruin: alter(NAMELESS) },
  {
    name: 'a sidecar that lacks one name',
    ruin: (store) =>
      store.alterSidecar(TEXT.shared, ({ refs }) => ({ refs: refs.slice(1), refCount: 1 })),
  },
  { name: 'a sidecar that says gone', ruin: alter({ state: 'gone' }) },
  { name: 'a sidecar that says gone, without names', ruin: alter({ ...NAMELESS, state: 'gone' }) },
  {
    name: 'a sidecar that says condemned, without names',
    ruin: alter({ ...NAMELESS, state: 'condemned' }),
  },
  {
    name: 'a sidecar that says uploading, without names',
    ruin: alter({ ...NAMELESS, state: 'uploading' }),
  },
  {
    name: 'a sidecar of a collected generation',
    ruin: alter({ ...NAMELESS, gen: OTHER_GENERATION }),
  },
  {
    name: 'a sidecar of a collected generation, with names',
    ruin: alter({ gen: OTHER_GENERATION }),
  },
  {
    name: 'a sidecar of a collected generation that says gone',
    ruin: alter({ ...NAMELESS, gen: OTHER_GENERATION, state: 'gone' }),
  },
  { name: 'a sidecar that is hot', ruin: alter({ hot: true, ...NAMELESS }) },
  { name: 'a sidecar that cannot be read', ruin: unsidecar, isUnreadable: true },
  { name: 'no sidecar', ruin: (store) => store.objects.delete([store.sidecarKey(TEXT.shared)]) },
  { name: 'no data', ruin: withoutData(), isLost: true },
  {
    name: 'no data, and a sidecar without names',
    ruin: withoutData(alter(NAMELESS)),
    isLost: true,
  },
  {
    name: 'no data, and a sidecar that says gone',
    ruin: withoutData(alter({ ...NAMELESS, state: 'gone' })),
    isLost: true,
  },
  {
    name: 'no data, and a sidecar that is hot',
    ruin: withoutData(alter({ hot: true })),
    isLost: true,
  },
  {
    name: 'no data, and a sidecar of a collected generation',
    ruin: withoutData(alter({ gen: OTHER_GENERATION })),
    isLost: true,
  },
  {
    name: 'no data, and a sidecar that cannot be read',
    ruin: withoutData(unsidecar),
    isLost: true,
    isUnreadable: true,
  },
  {
    name: 'no data and no sidecar',
    ruin: withoutData((store) => store.objects.delete([store.sidecarKey(TEXT.shared)])),
    isLost: true,
  },
];

const WHOLE = { a: 'whole', b: 'whole' };

async function ruined({ ruin }: Ruin): Promise<DamagedStore> {
  const store = await DamagedStore.open();
  await ruin(store);
  return store;
}

/**
 * Puts a conversation again unchanged, in a process of its own. Returns the outcome, and what the
 * conversation then reads as.
 */
async function putAgain(store: DamagedStore, id: 'a' | 'b'): Promise<string> {
  return store.use(async (backend) => {
    const body = entry(`body of ${id}`, TEXT[id], TEXT.shared);
    const [outcome] = await backend.commit([put(id, [body], { ifExists: 'replace' })]);
    if (outcome?.status === 'failed') return outcome.error.code;
    expect(await contentOf(backend, id)).toEqual([
      { body: `body of ${id}`, segments: [TEXT[id], TEXT.shared] },
    ]);
    return outcome?.status ?? 'none';
  });
}

/**
 * Repairs until nothing is found: a first repair may leave data that a second one deletes.
 */
async function repair(store: DamagedStore): Promise<void> {
  for (let round = 0; round < 2; round++) await store.findings({ repair: true });
}

/** Keys of the data of a segment; of all segments by default. */
async function dataOf(store: DamagedStore, address = ''): Promise<string[]> {
  return (await store.keys(`segments/${address}`)).filter((key) => !key.endsWith('.meta'));
}

/** Checks that nothing is found, and that every byte of deleted content is collected. */
async function expectOrder(store: DamagedStore): Promise<void> {
  expect(await store.findings()).toEqual([]);
  await store.use(async (backend) => {
    const ids = await idsOf(backend.list('conversation'));
    await backend.commit(ids.map((id) => remove(id)));
    expect(await backend.collect({ erase: true })).toMatchObject({ remnants: [] });
  });
  expect(await dataOf(store)).toEqual([]);
}

describe.each(RUINS)('after damage that leaves $name', (ruin) => {
  const { isLost = false, isUnreadable = false } = ruin;

  test('a put of the same bytes is unchanged only if they can be read', async () => {
    const store = await ruined(ruin);
    const outcome = await putAgain(store, 'a');
    expect(outcome).toBe(isLost && isUnreadable ? 'CORRUPT' : 'unchanged');
    await repair(store);
    expect(await putAgain(store, 'a')).toBe('unchanged');
    await repair(store);
    expect(await store.read()).toEqual(WHOLE);
    await expectOrder(store);
  });

  test('a put of the bytes under another id heals the manifests that reference them', async () => {
    const store = await ruined(ruin);
    const write = () =>
      store.use((backend) => backend.commit([put('c', [entry('c', TEXT.shared)])]));
    const [first] = await write();
    if (isUnreadable) {
      expect(first).toMatchObject({
        status: 'failed',
        error: { code: 'CORRUPT', message: /audit with repair/ },
      });
      await repair(store);
      await write();
    }
    const content = await store.use((backend) => contentOf(backend, 'c'));
    expect(content).toEqual([{ body: 'c', segments: [TEXT.shared] }]);
    await repair(store);
    expect(await store.read()).toEqual(WHOLE);
    await expectOrder(store);
  });

  test('an append that names the segment can be read', async () => {
    const store = await ruined(ruin);
    const write = () =>
      store.use((backend) => backend.commit([append('a', [entry('more', TEXT.shared)])]));
    const [first] = await write();
    if (first?.status === 'failed') {
      expect([isLost, isUnreadable]).toEqual([true, true]);
      await repair(store);
      expect(await write()).toMatchObject([{ status: 'appended' }]);
    }
    const content = await store.use((backend) => contentOf(backend, 'a'));
    expect(content?.[1]).toEqual({ body: 'more', segments: [TEXT.shared] });
    await repair(store);
    expect((await store.read()).b).toBe('whole');
    await expectOrder(store);
  });

  test('a full collection takes nothing that is in use', async () => {
    const store = await ruined(ruin);
    // A hint leads everyday runs to the segment, too.
    const hint = { v: 1, segments: [ADDRESS.shared], manifests: [] };
    const data = await dataOf(store, ADDRESS.shared);
    for (const options of [{ full: true, dryRun: true }, { full: true }, {}, { erase: true }]) {
      await store.write('hints/releases/H.json', JSON.stringify(hint));
      store.clock.time += 60 * 60_000;
      await collected(store, options);
      expect(await dataOf(store, ADDRESS.shared)).toEqual(expect.arrayContaining(data));
    }
    if (!isLost) expect(await store.read()).toEqual(WHOLE);
  });

  test('a repair restores what can be read, and marks what a put can restore', async () => {
    const store = await ruined(ruin);
    await repair(store);
    if (!isLost) expect(await store.read()).toEqual(WHOLE);
    else
      expect(await store.findings()).toMatchObject([
        { kind: 'missing-data', repair: /^none: it is marked/ },
      ]);
    expect(await collected(store, { full: true })).toBe(0);
    expect(await putAgain(store, 'b')).toBe('unchanged');
    expect(await store.read()).toEqual(WHOLE);
    await expectOrder(store);
  });

  test('a repair takes nothing from a manifest that cannot be read', async () => {
    const store = await ruined(ruin);
    await store.flip('manifests/conversation/b.json');
    await repair(store);
    await collected(store, { full: true });
    await store.flip('manifests/conversation/b.json');
    if (!isLost) expect(await store.read()).toEqual(WHOLE);
    await repair(store);
    expect(await putAgain(store, 'b')).toBe('unchanged');
    await repair(store);
    expect(await store.read()).toEqual(WHOLE);
    await expectOrder(store);
  });
});

test('a put heals spilled bodies that are gone', async () => {
  const long = Array.from({ length: 3 }, (_, at) => entry(`${at} `.repeat(50)));
  const options = { spillAbove: 10 };
  const store = await DamagedStore.open();
  const write = () => store.use((backend) => backend.commit([put('c', long)]), options);
  await write();
  const [address = ''] =
    (await store.record('manifests/conversation/c.json')).current?.references.keys() ?? [];
  const keys = await store.keys(`segments/${address}/`);
  expect(keys).toHaveLength(1);
  await store.objects.delete(keys);
  expect(await write()).toMatchObject([{ status: 'unchanged' }]);
  expect(await store.use((backend) => contentOf(backend, 'c'))).toHaveLength(3);
  expect(await store.findings()).toEqual([]);
});

test('a write without the lost bytes fails, and the others of the commit do not', async () => {
  const store = await DamagedStore.open();
  await store.objects.delete([await store.dataKey(TEXT.shared)]);
  const named = { ...segment(TEXT.shared), bytes: null };
  const outcomes = await store.use((backend) =>
    backend.commit([
      append('a', [entry('more', named)]),
      append('a', [entry('other')]),
      put('d', [entry('d', named)]),
      put('e', [entry('e')]),
    ]),
  );
  const failure = { status: 'failed', error: { code: 'NOT_FOUND' } };
  expect(outcomes).toMatchObject([failure, { status: 'appended' }, failure, { status: 'created' }]);
});

test('an unchanged put checks each segment once in a process, and none that the process stored', async () => {
  const store = await DamagedStore.open();
  const write = put('c', [entry('c', 'one', 'two', 'three')]);
  await store.use(async (backend) => {
    await commit(backend, write);
    await commit(backend, write);
    expect(backend.metrics().requests.head).toBe(0);
  });
  await store.use(async (backend) => {
    for (let times = 0; times < 3; times++) {
      await commit(backend, write);
      expect(backend.metrics().requests.head).toBe(3);
    }
  });
});

test('data at the generation of a restored sidecar is stored before it is trusted', async () => {
  const store = await DamagedStore.open();
  await store.alterSidecar(TEXT.shared, () => ({ gen: OTHER_GENERATION }));
  await store.use((backend) => commit(backend, put('c', [entry('c', TEXT.shared)])));
  expect(await store.keys(`segments/${ADDRESS.shared}/`)).toContain(
    segmentKey(ADDRESS.shared, OTHER_GENERATION),
  );
});
