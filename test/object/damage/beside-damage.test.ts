import { beforeEach, describe, expect, test } from 'vitest';
import type { CollectReport } from '../../../src/backends/contract/collection.ts';
import { segmentKey } from '../../../src/backends/object/format/keys.ts';
import { isVarveError } from '../../../src/core/errors.ts';
import { Store } from '../../../src/store.ts';
import {
  append,
  commit,
  conversation,
  entry,
  idsOf,
  put,
  remove,
  segment,
  succeeded,
} from '../../conformance/builders.ts';
import { DamagedStore, KEY, MANIFEST, OTHER_GENERATION, TEXT } from './damaged-store.ts';

/** What still works beside damage, and what is not damage. */

let store: DamagedStore;
beforeEach(async () => {
  store = await DamagedStore.open();
});

const collect = (options = {}): Promise<CollectReport> =>
  store.use((backend) => backend.collect({ graceMs: 0, ...options }));

/** The ids of a list, and the code of the error that it ends with. */
async function listed(): Promise<{ ids: string[]; code?: string }> {
  return store.use(async (backend) => {
    const ids: string[] = [];
    try {
      for await (const { key } of backend.list('conversation')) ids.push(key.id);
      return { ids };
    } catch (error) {
      if (!isVarveError(error)) throw error;
      return { ids, code: error.code };
    }
  });
}

describe('beside a manifest that cannot be read', () => {
  beforeEach(async () => {
    await store.use((backend) => commit(backend, put('c', [entry('body of c', 'text of c')])));
    await store.flip(MANIFEST.b);
  });

  test('a list returns all others, then fails because it is not complete', async () => {
    expect(await listed()).toEqual({ ids: ['a', 'c'], code: 'CORRUPT' });
  });

  test('collections go on, everyday and full', async () => {
    await store.use((backend) => commit(backend, remove('a')));
    // Old marks of writers make a collection read all manifests.
    await store.dropWriter(conversation('d'), 'taken by a writer that dies');
    store.clock.time += 20 * 60_000;
    expect(await collect()).toMatchObject({
      isComplete: true,
      reasons: { 'abandoned-upload': { count: 1 } },
    });
    await store.use((backend) => commit(backend, remove('c')));
    expect(await collect({ full: true })).toMatchObject({ isComplete: true, collectedSegments: 1 });
    expect((await collect({ erase: true })).isComplete).toBe(true);
    // What it references stays.
    await store.flip(MANIFEST.b);
    expect((await store.read()).b).toBe('whole');
  });

  test('usage covers what can be read', async () => {
    const usage = await store.use((backend) => backend.usage());
    expect(usage.manifests.conversation.count).toBe(2);
    const surveyed = await store.use((backend) => idsOf(heads(backend.survey())));
    expect(surveyed).toEqual(['a', 'c']);
  });

  test('its own writes fail, the others of the commit do not', async () => {
    const outcomes = await store.use((backend) =>
      backend.commit([
        put('b', [entry('other', 'text of b again')], { ifExists: 'replace' }),
        put('d', [entry('body of d', 'text of d')]),
        append('b', [entry('more', 'text of b, continued')]),
        remove('a'),
      ]),
    );
    for (const at of [0, 2])
      expect(outcomes[at]).toMatchObject({ status: 'failed', error: { code: 'CORRUPT' } });
    expect([succeeded(outcomes[1]).status, succeeded(outcomes[3]).status]).toEqual([
      'created',
      'deleted',
    ]);
  });

  test('a deep audit reads everything else, and reports it once', async () => {
    await store.use((backend) =>
      commit(backend, put({ kind: 'blob', id: 'bad' }, [entry('no blob')])),
    );
    const findings = await store.use(async (backend) => {
      const found: unknown[] = [];
      for await (const { kind, manifests } of new Store(backend).audit({ deep: true }))
        found.push([kind, manifests]);
      return found;
    });
    expect(findings).toEqual([
      ['corrupt-manifest', [KEY.b]],
      ['corrupt-manifest', [conversation('a')]],
      ['corrupt-manifest', [conversation('c')]],
      ['corrupt-manifest', [{ kind: 'blob', id: 'bad' }]],
    ]);
  });

  test('an erasure ends, and reports what is shared as far as it can be read', async () => {
    const report = await store.use((backend) => new Store(backend).eraseConversations(['a']));
    expect(report).toMatchObject({
      deleted: ['a'],
      collection: { isComplete: true, remnants: [] },
    });
    expect(report.shared).toEqual([
      { address: segment(TEXT.shared).address, length: TEXT.shared.length, manifests: [] },
    ]);
  });
});

async function* heads<Head>(surveys: AsyncIterable<{ readonly head: Head }>): AsyncGenerator<Head> {
  for await (const { head } of surveys) yield head;
}

describe('beside a sidecar that cannot be read', () => {
  beforeEach(async () => {
    await store.use(async (backend) => {
      await commit(backend, remove('a'));
      await commit(backend, remove('b'));
    });
    await store.write(store.sidecarKey(TEXT.b), 'not a sidecar');
  });

  test('collections take other garbage, and its own after a repair', async () => {
    expect(await collect()).toMatchObject({ isComplete: true, collectedSegments: 2 });
    expect(await collect({ full: true })).toMatchObject({ isComplete: true, collectedSegments: 0 });
    await store.findings({ repair: true });
    expect(await collect()).toMatchObject({ collectedSegments: 1 });
  });

  test('an erasure reports what is left, and where', async () => {
    const remnant = {
      address: segment(TEXT.b).address,
      location: store.sidecarKey(TEXT.b),
      reason: 'what references this segment cannot be read: audit with repair, then erase again',
    };
    expect((await collect({ erase: true })).remnants).toEqual([remnant]);
    await store.findings({ repair: true });
    expect((await collect({ erase: true })).remnants).toEqual([]);
    expect(await store.keys(`segments/${segment(TEXT.b).address}/`)).toEqual([]);
  });

  test('usage counts the garbage of others', async () => {
    const { garbageSegments } = await store.use((backend) => backend.usage());
    expect(garbageSegments).toBe(2);
  });
});

test('an erasure reports data that no manifest names and that it may not delete', async () => {
  const late = segmentKey(segment(TEXT.b).address, OTHER_GENERATION);
  const orphan = segmentKey(segment('orphan').address, OTHER_GENERATION);
  for (const key of [late, orphan]) await store.write(key, 'content of somebody');
  const reason =
    'nothing leads to this data: an audit with repair deletes it, if no manifest needs it';
  const { remnants = [] } = await collect({ erase: true });
  expect(remnants.map(({ location }) => location).sort()).toEqual([late, orphan].sort());
  expect(new Set(remnants.map((each) => each.reason))).toEqual(new Set([reason]));
  await store.findings({ repair: true });
  expect((await collect({ erase: true })).remnants).toEqual([]);
  expect((await store.keys()).filter((key) => [late, orphan].includes(key))).toEqual([]);
});

describe('a hint that cannot be read', () => {
  test('of a release does not stop a collection, and a full one finds the garbage', async () => {
    await store.use((backend) => commit(backend, remove('a')));
    const [hint = ''] = await store.keys('hints/releases/');
    await store.write(hint, '{"v":1,"segments":');
    await store.use((backend) => commit(backend, remove('b')));
    expect(await store.use((backend) => backend.usage())).toMatchObject({ garbageSegments: 2 });
    expect(await collect()).toMatchObject({ isComplete: true, collectedSegments: 2 });
    expect(await store.keys('hints/releases/')).toContain(hint);
    expect(await collect({ full: true })).toMatchObject({ collectedSegments: 1 });
    expect(await store.keys('hints/releases/')).toEqual([]);
  });

  test('of a time to expire does not stop a collection, and a full one finds what has expired', async () => {
    for (const id of ['old', 'older']) {
      await store.use((backend) =>
        commit(backend, put(id, [entry('1')], { fields: { expiresAt: id.length } })),
      );
    }
    const [first = ''] = await store.keys('hints/expiries/');
    await store.write(first, 'garbage');
    expect(await collect()).toMatchObject({ isComplete: true, expiredManifests: 1 });
    expect(await collect({ full: true })).toMatchObject({ expiredManifests: 1 });
  });

  test('of damage makes a writer look for nothing', async () => {
    await store.write(`hints/damaged/${segment(TEXT.a).address}`, 'whatever');
    await store.use((backend) =>
      commit(backend, put('a', [entry('body of a', TEXT.a, TEXT.shared)])),
    );
    expect(await store.keys('hints/damaged/')).toEqual([]);
    expect(await store.findings()).toEqual([]);
  });

  test('expires a manifest once, however many hints name it', async () => {
    const due = { fields: { expiresAt: 5 }, ifExists: 'replace' } as const;
    await store.use((backend) => commit(backend, put('old', [entry('1')], due)));
    await store.use((backend) =>
      commit(backend, put('old', [entry('2')], { ...due, fields: { expiresAt: 7 } })),
    );
    expect(await store.keys('hints/expiries/')).toHaveLength(2);
    expect(await collect({ dryRun: true })).toMatchObject({ expiredManifests: 1 });
    expect(await collect()).toMatchObject({ expiredManifests: 1 });
  });
});

describe('a list', () => {
  beforeEach(async () => {
    // Enough for a page.
    const writes = Array.from({ length: 20 }, (_, at) => put(`c${at}`, [entry('1')]));
    await store.use((backend) => backend.commit(writes));
  });

  const objects = async () =>
    (await Promise.all(['journal/', 'heads/', 'catalog/'].map((each) => store.keys(each)))).flat();

  test.each(['journal/', 'heads/', 'catalog/'])(
    'is right where what it reads is damaged or lost: %s',
    async (prefix) => {
      for (const harm of ['flip', 'delete'] as const) {
        // What a lost journal named is found by an audit only.
        if (harm === 'delete' && prefix === 'journal/') continue;
        for (const key of await store.keys(`${prefix}conversation`)) {
          if (harm === 'flip') await store.flip(key);
          else await store.objects.delete([key]);
        }
        expect((await listed()).ids).toHaveLength(22);
        expect(await store.findings()).toEqual([expect.objectContaining({ kind: 'unindexed' })]);
        await store.use((backend) => commit(backend, put(`${prefix} ${harm}`, [entry('1')])));
        store.clock.time += 60 * 60 * 1000;
        await store.findings({ repair: true });
        expect(await store.findings()).toEqual([]);
        await store.use((backend) => commit(backend, remove(`${prefix} ${harm}`)));
        expect((await listed()).ids).toHaveLength(22);
      }
    },
  );

  test('is put right by a repair where it is wrong', async () => {
    const before = new Map<string, Buffer>();
    for (const key of await objects()) before.set(key, await store.bytes(key));
    await store.use((backend) =>
      backend.commit([
        remove('c3'),
        put('c4', [entry('2')], { ifExists: 'replace' }),
        put('new', [entry('1')]),
      ]),
    );
    for (const key of await objects()) await store.objects.delete([key]);
    for (const [key, body] of before) await store.write(key, body);
    expect((await listed()).ids).toContain('c3');
    expect(await store.findings()).toEqual([expect.objectContaining({ kind: 'unindexed' })]);
    await store.findings({ repair: true });
    expect(await store.findings()).toEqual([]);
    const { ids } = await listed();
    expect(ids).toHaveLength(22);
    expect(ids).toContain('new');
    expect(ids).not.toContain('c3');
  });
});

test('foreign objects are not reported, and stay through repairs, collections and erasures', async () => {
  const foreign = [
    'notes.txt',
    'segments/README',
    'segments/abc/def',
    'manifests/README',
    'reports/x',
    'other/y.meta',
  ];
  for (const key of foreign) await store.write(key, 'mine');
  expect(await store.findings({ repair: true })).toEqual([]);
  await collect({ full: true });
  expect(await collect({ erase: true })).toMatchObject({ remnants: [] });
  for (const key of foreign) expect((await store.bytes(key)).toString()).toBe('mine');
});

test('the report of an audit counts findings by kind, those of a deep audit included', async () => {
  await store.objects.delete([await store.dataKey(TEXT.b)]);
  await store.flip(await store.dataKey(TEXT.a));
  await store.alterSidecar(TEXT.shared, () => ({ refCount: 9 }));
  const [report] = await store.use(async (backend) => {
    const opened = new Store(backend);
    // Entries that are not a conversation's: a deep audit reports them, unless they were reported
    // before.
    for await (const finding of opened.audit({ repair: true, deep: true }))
      expect(finding.message).not.toBe('');
    return opened.gc.history();
  });
  expect(report).toMatchObject({
    operation: 'audit',
    outcome: 'done',
    options: { repair: true, deep: true },
    counts: { 'missing-data': 1, 'corrupt-data': 1, 'wrong-count': 1 },
    result: { manifests: 2, findings: 3, unrepaired: 2 },
  });
  expect(report?.counts).not.toHaveProperty('corrupt-manifest');
});

test('the history skips reports that cannot be read', async () => {
  await store.write('reports/2026-01-31T00:00:00.000Z-AAAAAAAAAAAA.json', '{"operation"');
  const history = await store.use((backend) => new Store(backend).gc.history());
  expect(history).toEqual([]);
});
