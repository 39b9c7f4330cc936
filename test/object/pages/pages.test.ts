import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { segmentKey } from '../../../src/backends/object/format/keys.ts';
import { pagesOf } from '../../../src/backends/object/format/manifest-record.ts';
import { decodePage, encodePage } from '../../../src/backends/object/format/page.ts';
import {
  append,
  auditOf,
  codeOf,
  commit,
  contentOf,
  conversation,
  entry,
  put,
  readOne,
  referencesTo,
  remove,
} from '../../conformance/builders.ts';
import { DamagedStore, MANIFEST, TEXT } from '../damage/damaged-store.ts';
import { TINY_PAGES } from './page-sizes.ts';

const OPTIONS = { pageSizes: TINY_PAGES, cacheBytes: 0 };
const HOUR_MS = 60 * 60_000;

let store: DamagedStore;
beforeEach(async () => {
  store = await DamagedStore.open(OPTIONS);
  await store.use(async (backend) => {
    for (const body of ['2', '3', '4', '5', '6'])
      await commit(backend, append('a', [entry(body, TEXT.shared, body)]));
  }, OPTIONS);
});

/** The keys of the data of the pages of conversation a. */
async function pageKeys(): Promise<string[]> {
  const { current } = await store.record(MANIFEST.a);
  if (current === undefined) throw new Error('there is no conversation a');
  return pagesOf(current).map((address) => {
    const reference = current.references.get(address);
    if (reference === undefined) throw new Error('a page without a reference');
    return segmentKey(address, reference.gen);
  });
}

async function version(objectKey: string): Promise<unknown> {
  let found: unknown;
  const before = await store.bytes(objectKey);
  await store.alterHeader(objectKey, ({ v }) => {
    found = v;
    return {};
  });
  await store.write(objectKey, before);
  return found;
}

describe('a record with pages', () => {
  test('is of version 2, and goes back to version 1 without them', async () => {
    expect(await version(MANIFEST.a)).toBe(2);
    expect(await version(MANIFEST.b)).toBe(1);
    await store.use((backend) =>
      commit(backend, put('a', [entry('short')], { ifExists: 'replace' })),
    );
    expect(await version(MANIFEST.a)).toBe(1);
  });

  test('has the entries of all pages, wherever they are counted', async () => {
    await store.use(async (backend) => {
      const manifest = await readOne(backend, 'a');
      expect(manifest?.entryCount).toBe(6);
      expect(manifest?.entries).toHaveLength(6);
      for await (const head of backend.list('conversation'))
        expect(head.entryCount).toBe(head.key.id === 'a' ? 6 : 1);
      for await (const { head, segments } of backend.survey()) {
        const uses = segments.reduce((sum, each) => sum + each.uses, 0);
        expect([head.key.id, uses]).toEqual([head.key.id, head.key.id === 'a' ? 12 : 2]);
      }
    });
  });

  test('counts once in each segment, however many of its pages reference it', async () => {
    await store.use(async (backend) => {
      // Appends of other processes do not know what older pages reference.
      for (const id of ['x', 'y', 'z']) await commit(backend, append('a', [entry(id)]));
      await commit(backend, append('a', [entry('again', TEXT.shared)]));
      expect((await store.sidecar(TEXT.shared)).refs.length).toBeGreaterThan(2);
      expect(await referencesTo(backend, TEXT.shared)).toBe(2);
      await commit(backend, remove('b'));
      expect(await referencesTo(backend, TEXT.shared)).toBe(1);
      await commit(backend, remove('a'));
      expect(await referencesTo(backend, TEXT.shared)).toBe(0);
    }, OPTIONS);
  });

  test('is compared with a put entry by entry', async () => {
    await store.use(async (backend) => {
      const same = ['2', '3', '4', '5', '6'].map((body) => entry(body, TEXT.shared, body));
      const first = entry('body of a', TEXT.a, TEXT.shared);
      const fields = { logicalBytes: (await readOne(backend, 'a'))?.logicalBytes ?? 0 };
      const write = put('a', [first, ...same], { fields });
      expect(await commit(backend, write)).toMatchObject({ status: 'unchanged' });
      const other = put('a', [...same, first], { fields, ifExists: 'skip' });
      expect(await commit(backend, other)).toMatchObject({ status: 'skipped' });
    });
  });

  test('takes its segments again when one is lost and a put brings it', async () => {
    await store.objects.delete([await store.dataKey('3')]);
    await store.use(async (backend) => {
      const same = ['2', '3', '4', '5', '6'].map((body) => entry(body, TEXT.shared, body));
      const first = entry('body of a', TEXT.a, TEXT.shared);
      const fields = { logicalBytes: (await readOne(backend, 'a'))?.logicalBytes ?? 0 };
      const write = put('a', [first, ...same], { fields });
      expect(await commit(backend, write)).toMatchObject({ status: 'unchanged' });
      expect(await contentOf(backend, 'a')).toHaveLength(6);
      expect((await auditOf(backend)).findings).toEqual([]);
    }, OPTIONS);
  });
});

test('an idempotency key is known in a page, too', async () => {
  await store.use(async (backend) => {
    for (let number = 1; number <= 8; number++) {
      const write = append('a', [entry(`with key ${number}`)], { idempotencyKey: `k${number}` });
      await commit(backend, write);
    }
  }, OPTIONS);
  expect((await store.record(MANIFEST.a)).current?.keyPages.length).toBeGreaterThan(0);
  await store.use(async (backend) => {
    for (let number = 1; number <= 8; number++) {
      const write = append('a', [entry('again')], { idempotencyKey: `k${number}` });
      expect(await commit(backend, write)).toMatchObject({ status: 'unchanged' });
    }
    const fresh = append('a', [entry('fresh')], { idempotencyKey: 'k9' });
    expect(await commit(backend, fresh)).toMatchObject({ status: 'appended' });
    await commit(backend, put('a', [entry('new')], { ifExists: 'replace' }));
    const forgotten = append('a', [entry('once more')], { idempotencyKey: 'k1' });
    expect(await commit(backend, forgotten)).toMatchObject({ status: 'appended' });
  }, OPTIONS);
});

test('an audit moves what a page references to the generation that the sidecar has', async () => {
  const content = await store.use((backend) => contentOf(backend, 'a'));
  const dataKey = await store.dataKey('3');
  await store.alterSidecar('3', () => ({ state: 'gone', refs: [], refCount: 0, since: 1 }));
  await store.use((backend) => auditOf(backend, { repair: true }), OPTIONS);
  await store.use(async (backend) => {
    expect((await auditOf(backend, { repair: true })).findings).toMatchObject([
      { kind: 'orphaned-data', location: dataKey },
    ]);
    expect((await auditOf(backend)).findings).toEqual([]);
    expect(await contentOf(backend, 'a')).toEqual(content);
    await commit(backend, append('a', [entry('more')]));
  }, OPTIONS);
  expect(await store.dataKey('3')).not.toBe(dataKey);
  await deleteAll();
});

describe.each([
  ['damaged', (key: string) => store.flip(key)],
  ['lost', (key: string) => store.objects.delete([key])],
])('a manifest with a page that is %s', (_, harm) => {
  beforeEach(async () => {
    for (const key of await pageKeys()) await harm(key);
  });

  test('is unreadable, and its newest entry is not', async () => {
    await store.use(async (backend) => {
      await expect(readOne(backend, 'a')).rejects.toMatchObject({ code: 'CORRUPT' });
      const [newest] = await backend.read([conversation('a')], { entries: 'newest' });
      expect(Buffer.from(newest?.entries[0]?.body ?? []).toString()).toBe('6');
    }, OPTIONS);
  });

  test('grows on, and is deleted or replaced', async () => {
    await store.use(async (backend) => {
      expect(await commit(backend, append('a', [entry('7')]))).toMatchObject({
        status: 'appended',
      });
      const [outcome] = await backend.commit([
        put(
          'a',
          Array.from({ length: 7 }, () => entry('')),
        ),
      ]);
      expect(outcome && codeOf(outcome)).toBe('CORRUPT');
      const replace = put('a', [entry('new', TEXT.a, '3')], { ifExists: 'replace' });
      expect(await commit(backend, replace)).toMatchObject({ status: 'replaced' });
      expect(await contentOf(backend, 'a')).toEqual([{ body: 'new', segments: [TEXT.a, '3'] }]);
    }, OPTIONS);
    await deleteAll();
  });

  test('keeps repairs from taking references away', async () => {
    const before = [await store.sidecar('3'), await store.sidecar(TEXT.shared)];
    store.clock.time += HOUR_MS;
    await store.use(async (backend) => {
      const { findings } = await auditOf(backend, { repair: true });
      expect(findings.filter(({ kind }) => kind === 'corrupt-manifest')).toMatchObject([
        { location: MANIFEST.a, harmful: true, repaired: false },
      ]);
      await backend.collect({ graceMs: 0, full: true });
      await backend.collect({ erase: true });
    }, OPTIONS);
    expect([await store.sidecar('3'), await store.sidecar(TEXT.shared)]).toEqual(before);
  });
});

/** Deletes everything, and checks that an audit and collections leave nothing of it. */
async function deleteAll(): Promise<void> {
  await store.use(async (backend) => {
    await backend.commit([remove('a'), remove('b')]);
    store.clock.time += HOUR_MS;
    await auditOf(backend, { repair: true });
    store.clock.time += HOUR_MS;
    await backend.collect({ graceMs: 0, full: true });
    expect((await auditOf(backend)).findings).toEqual([]);
  }, OPTIONS);
  const stored = await store.keys('segments/');
  expect(stored.filter((key) => !key.endsWith('.meta'))).toEqual([]);
}

test('a page is refused by any manifest but its own', () => {
  const nothing = { entries: [], references: [], idempotencyKeys: ['k'] };
  const page = encodePage({ referrer: 'one', ...nothing }, 'nonce');
  expect(decodePage(page, 'one', 'a page').idempotencyKeys).toEqual(['k']);
  expect(() => decodePage(page, 'another', 'a page')).toThrow(/the page of another manifest/);
});

test('a store with pages that an earlier version wrote is read, grows, and is emptied', async () => {
  const older = new DamagedStore();
  const stored = readFileSync(join(import.meta.dirname, 'store.json'), 'utf8');
  for (const [key, body] of Object.entries<string>(JSON.parse(stored)))
    await older.write(key, Buffer.from(body, 'base64'));
  store = older;
  const entries = [2, 3, 4, 5, 6, 7].map((number) => ({
    body: `entry ${number}`,
    segments: ['one', `text ${number}`],
  }));
  await store.use(async (backend) => {
    expect(await contentOf(backend, 'short')).toEqual([
      { body: 'body of short', segments: ['one'] },
    ]);
    expect(await contentOf(backend, 'long')).toEqual([
      { body: 'entry 1', segments: ['one'] },
      ...entries,
    ]);
    expect((await auditOf(backend)).findings).toEqual([]);
    const again = append('long', [entry('again')], { idempotencyKey: 'key 2' });
    expect(await commit(backend, again)).toMatchObject({ status: 'unchanged' });
    await commit(backend, append('long', [entry('8')]));
    expect(await contentOf(backend, 'long')).toHaveLength(8);
    await backend.commit([remove('short'), remove('long')]);
  }, OPTIONS);
  await deleteAll();
});

/** What only `tables/references.ts` may ask: a record does not have all references itself. */
const OWN_REFERENCES = /\b(?:current|content|manifest|record)\)?\??\.references\b|\bheldOf\b/;

test('whoever counts, sweeps or audits asks one function what a manifest references', () => {
  const protocol = join(import.meta.dirname, '../../../src/backends/object');
  const files = ['listing', 'collect', 'audit', 'operations'].flatMap((folder) =>
    readdirSync(join(protocol, folder)).map((name) => join(protocol, folder, name)),
  );
  const asking = files.filter((file) => OWN_REFERENCES.test(readFileSync(file, 'utf8')));
  expect(asking).toEqual([]);
  expect('seen.record?.current?.references.get(address)').toMatch(OWN_REFERENCES);
});
