import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Revision } from '../../../src/backends/contract/manifests.ts';
import type { HeadVersion } from '../../../src/backends/object/format/head-version.ts';
import { HeadCatalogs } from '../../../src/backends/object/heads/head-catalogs.ts';
import { HeadPages } from '../../../src/backends/object/heads/head-pages.ts';
import { HeadsMemory } from '../../../src/backends/object/heads/heads-memory.ts';
import { writeRun } from '../../../src/backends/object/heads/write-runs.ts';
import type { ObjectBackend } from '../../../src/backends/object/object-backend.ts';
import { type OpenObjectsOptions, openObjects } from '../../../src/backends/object/open-objects.ts';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import { ServerClock } from '../../../src/backends/storage/server-clock.ts';
import { SystemClock, SystemRandomness } from '../../../src/core/system/system-clock.ts';
import { append, auditOf, entry, idsOf, put, remove } from '../../conformance/builders.ts';
import { IS_THOROUGH } from '../../thorough.ts';
import { makeFirstFormat } from '../first-format.ts';

let store: MemoryObjectStore;
beforeEach(() => {
  store = new MemoryObjectStore();
});

/** Works in a process of its own. Returns its requests besides those of opening. */
async function inProcess(
  work: (backend: ObjectBackend) => Promise<unknown>,
  options: OpenObjectsOptions = {},
): Promise<Record<string, number>> {
  const backend = await openObjects(store, options);
  const { get, list, put: puts, delete: deletes } = backend.metrics().requests;
  await work(backend);
  await backend.close();
  const after = backend.metrics().requests;
  return {
    get: after.get - get,
    list: after.list - list,
    put: after.put - puts,
    delete: after.delete - deletes,
  };
}

const readOnly = { readOnly: true };
const keys = async (prefix: string) => (await store.list(prefix)).objects.map(({ key }) => key);
const ids = (count: number) => Array.from({ length: count }, (_, at) => `c${at}`);

/** Stores heads as an import of as many conversations leaves them. */
async function storeHeads(count: number): Promise<void> {
  await (await openObjects(store)).close();
  const clock = new SystemClock();
  const foundation = {
    store,
    randomness: new SystemRandomness(),
    serverClock: new ServerClock(clock),
  };
  const pages = new HeadPages(foundation, new HeadsMemory('ready'));
  const catalogs = new HeadCatalogs(foundation);
  await catalogs.swap('conversation', { etag: undefined }, { runs: [], retired: [] });
  const before = await catalogs.read('conversation');
  const versions = function* () {
    for (let at = 0; at < count; at++) yield [versionOf(at)];
  };
  const run = await writeRun({ write: (rows) => pages.write('conversation', rows) }, versions());
  await catalogs.swap('conversation', before, { runs: [run], retired: [] });
}

function versionOf(at: number): HeadVersion {
  const head = {
    revision: `${at.toString(36).padStart(12, 'r')}0` as Revision,
    application: 'support',
    model: `model-${at % 7}`,
    createdAt: 1_700_000_000_000 + at * 7,
    updatedAt: 1_700_000_000_000 + at * 7,
    logicalBytes: 3200,
    entryCount: 1,
  };
  return { id: `conversation-${at}`, archived: [1_700_000_000_000 + at, 0], seq: 1, head };
}

describe('a list of very many', () => {
  const count = IS_THOROUGH ? 1_000_000 : 100_000;

  test('takes a handful of requests for the first, and little memory for all', async () => {
    await storeHeads(count);
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const first = async (backend: ObjectBackend) => {
      let shown = 0;
      for await (const head of backend.list('conversation')) {
        expect(head.key.id).toBe(`conversation-${shown}`);
        if (++shown === 10) break;
      }
    };
    expect(await inProcess(first, readOnly)).toEqual({ get: 2, list: 1, put: 0, delete: 0 });
    let most = 0;
    const all = async (backend: ObjectBackend) => {
      gc();
      const before = process.memoryUsage().heapUsed;
      let shown = 0;
      for await (const _ of backend.list('conversation', { application: 'support' })) {
        if (++shown % (count / 5) !== 0) continue;
        gc();
        most = Math.max(most, process.memoryUsage().heapUsed - before);
      }
      expect(shown).toBe(count);
    };
    const pages = Math.ceil(count / 4096);
    expect(await inProcess(all, readOnly)).toMatchObject({ get: 1 + pages, list: 1 });
    expect(most).toBeLessThan(32 * 1024 * 1024);
  }, 120_000);
});

describe('journals', () => {
  test('are brought to pages by whoever writes many, and when they end', async () => {
    const writes = ids(300).map((id) => put(id, [entry('1')]));
    await inProcess((backend) => backend.commit(writes));
    expect(await keys('journal/')).toEqual([]);
    expect(await keys('heads/')).toHaveLength(1);
    const list = (backend: ObjectBackend) => idsOf(backend.list('conversation'));
    expect(await inProcess(list, readOnly)).toMatchObject({ get: 2, list: 1 });
  });

  test('of processes that write one thing each do not pile up', async () => {
    for (const id of ids(300))
      await inProcess((backend) => backend.commit([put(id, [entry('1')])]));
    expect((await keys('journal/')).length).toBeLessThan(64 + 100);
    await inProcess(async (backend) => {
      expect(await idsOf(backend.list('conversation'))).toEqual(ids(300));
    }, readOnly);
  });

  test('cost a long process one compaction for sixteen writes', async () => {
    await inProcess((backend) => backend.commit([put('a', [entry('1')])]));
    const requests = await inProcess(async (backend) => {
      for (let at = 0; at < 160; at++) await backend.commit([append('a', [entry(`${at}`)])]);
    });
    expect(requests['put']).toBeLessThanOrEqual(160 * 2 + 10 * 4);
    expect((await keys('journal/')).length).toBeLessThan(16);
  });

  test('and pages name nothing that was erased', async () => {
    await inProcess((backend) => backend.commit(ids(40).map((id) => put(id, [entry('1')]))));
    await inProcess(async (backend) => {
      await backend.commit(
        ids(40)
          .slice(1)
          .map((id) => remove(id)),
      );
      await backend.collect({ erase: true });
    });
    expect(await keys('journal/')).toEqual([]);
    expect(await keys('heads/')).toHaveLength(1);
    await inProcess(async (backend) => {
      expect(await idsOf(backend.list('conversation'))).toEqual(['c0']);
      expect((await auditOf(backend)).findings).toEqual([]);
    });
  });
});

describe('a store of the first format', () => {
  beforeEach(() => makeFirstFormat(store));

  test('keeps no journals, and is listed, until it is upgraded', async () => {
    await inProcess((backend) => backend.commit(ids(30).map((id) => put(id, [entry('1')]))));
    expect(await keys('journal/')).toEqual([]);
    await inProcess(async (backend) => {
      expect((await idsOf(backend.list('conversation'))).sort()).toEqual(ids(30).sort());
      expect(await backend.upgrade()).toMatchObject({ upgraded: true });
      expect(await backend.upgrade()).toEqual({ upgraded: false, changes: [] });
      await backend.commit([remove('c0'), put('new', [entry('1')])]);
      expect(await idsOf(backend.list('conversation'))).toEqual([...ids(30).slice(1), 'new']);
    });
    expect(await keys('index/')).toEqual([]);
    const { body } = (await store.get('varve.json')) ?? {};
    expect(JSON.parse(Buffer.from(body ?? '').toString())).toMatchObject({
      format: 2,
      journal: 'ready',
    });
    await inProcess(async (backend) => {
      expect(await idsOf(backend.list('conversation'))).toEqual([...ids(30).slice(1), 'new']);
      expect((await auditOf(backend)).findings).toEqual([]);
    });
  });

  test('is upgraded while others that keep journals already write', async () => {
    await inProcess((backend) => backend.commit(ids(30).map((id) => put(id, [entry('1')]))));
    const upgrading = await openObjects(store);
    let writing: Promise<unknown> | undefined;
    const list = store.list.bind(store);
    store.list = async (prefix, options) => {
      if (prefix === 'manifests/conversation/' && writing === undefined) {
        // They open the store once the descriptor says so.
        writing = inProcess((backend) => backend.commit([remove('c5'), put('a', [entry('1')])]));
        await writing;
      }
      return list(prefix, options);
    };
    await upgrading.upgrade();
    store.list = list;
    expect(await idsOf(upgrading.list('conversation'))).toEqual([
      ...ids(30).filter((id) => id !== 'c5'),
      'a',
    ]);
    expect((await auditOf(upgrading)).findings).toEqual([]);
    await upgrading.close();
  });
});
