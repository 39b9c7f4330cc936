import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { openObjects } from '../../src/backends/object/open-objects.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import { replicate } from '../../src/gc/replication/replication.ts';
import { restoreStore } from '../../src/recovery.ts';
import { openStore, Store } from '../../src/store.ts';
import { commit, entry, headOf, idsOf, put, remove, segment } from '../conformance/builders.ts';
import { byText, contents, WRITE } from './replicas.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'varve-replica-'));
  folders.push(folder);
  return folder;
}

const memory = () => openObjects(new MemoryObjectStore());

test('a replica holds what its source holds, after any changes of either', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(WRITE, { maxLength: 12 }), { minLength: 1, maxLength: 4 }),
      async (rounds) => {
        const [source, target] = [await memory(), await memory()];
        for (const writes of rounds) {
          await source.commit(writes);
          await replicate(source, target);
          expect((await contents(target)).sort(byText)).toEqual(
            (await contents(source)).sort(byText),
          );
          expect(await replicate(source, target)).toMatchObject({
            changed: 0,
            deleted: 0,
            copiedBytes: 0,
            unreadable: [],
          });
        }
        const fresh = await memory();
        await replicate(source, fresh);
        expect(await contents(fresh)).toEqual(await contents(source));
        for (const backend of [source, target, fresh]) await backend.close();
      },
    ),
    { numRuns: 15 },
  );
});

test('a replica takes only what it lacks, and drops what its source dropped', async () => {
  const [source, target] = [await memory(), await memory()];
  const long = 'x'.repeat(5000);
  await commit(source, put('a', [entry('1', 'shared', long)]));
  await commit(source, put('b', [entry('1', 'shared')]));
  expect(await replicate(source, target)).toMatchObject({
    manifests: 2,
    changed: 2,
    copiedBytes: 5006,
  });
  await commit(source, put('c', [entry('1', long, 'new')]));
  await commit(source, remove('a'));
  const before = source.metrics?.().requests.get ?? 0;
  expect(await replicate(source, target)).toMatchObject({
    manifests: 2,
    changed: 1,
    deleted: 1,
    copiedBytes: 3,
  });
  // What the lists of three kinds read: catalogs, and for each of four changes a journal and the
  // manifest. Then a manifest, and the sidecar and the data of one segment.
  expect((source.metrics?.().requests.get ?? 0) - before).toBeLessThanOrEqual(3 + 2 * 4 + 4);
  expect(await idsOf(target.list('conversation'))).toEqual(['b', 'c']);
});

test('a replica is whole beside writers, each manifest at one moment', async () => {
  const objects = new MemoryObjectStore();
  const [source, writer, target] = [
    await openObjects(objects),
    await openObjects(objects),
    await memory(),
  ];
  const textOf = (id: number, version: number) => `${id} at ${version} ${'-'.repeat(3000)}`;
  const write = async (version: number) => {
    for (let id = 0; id < 20; id++) {
      const text = textOf(id, version);
      await commit(
        writer,
        put(`c${id}`, [entry('1', text), entry('2', `${text} again`)], { ifExists: 'replace' }),
      );
    }
    await writer.collect({ graceMs: 0 });
  };
  await write(0);
  let isDone = false;
  const writing = (async () => {
    for (let version = 1; !isDone; version++) await write(version);
  })();
  for (let round = 0; round < 5; round++) {
    expect((await replicate(source, target)).unreadable).toEqual([]);
    for (let id = 0; id < 20; id++) {
      const [manifest] = await target.read([{ kind: 'conversation', id: `c${id}` }]);
      const texts = await target.fetch(manifest?.entries.flatMap(({ segments }) => segments) ?? []);
      const [first, second] = texts.map((bytes) => Buffer.from(bytes).toString());
      expect(second).toBe(`${first} again`);
    }
  }
  isDone = true;
  await writing;
});

test('what cannot be read is reported, and the replica keeps what it has of it', async () => {
  const objects = new MemoryObjectStore();
  const [source, target] = [await openObjects(objects), await memory()];
  for (const id of ['a', 'b', 'c']) await commit(source, put(id, [entry('1', `text of ${id}`)]));
  await replicate(source, target);
  await commit(source, put('d', [entry('1', 'text of d')]));
  await objects.put('manifests/conversation/a.json', Buffer.from('damage'), { kind: 'any' });
  const { address } = segment('text of b');
  const [, data = ''] = (await objects.list(`segments/${address}`)).objects.map(({ key }) => key);
  await objects.put(data, Buffer.from('damage'), { kind: 'any' });
  await source.close();
  const again = await openObjects(objects);
  await replicate(again, target);
  expect(await idsOf(target.list('conversation'))).toEqual(['a', 'b', 'c', 'd']);
  const fresh = await memory();
  const { unreadable } = await replicate(again, fresh);
  expect(unreadable).toContainEqual({ kind: 'conversation', id: 'b' });
  expect((await idsOf(fresh.list('conversation'))).sort()).toEqual(['c', 'd']);
});

describe('a backup of a store of objects', () => {
  async function filled(): Promise<Store> {
    const store = new Store(await memory());
    await store.conversations.put({
      id: 'c1',
      model: 'm',
      messages: [{ role: 'user', content: 'Hello. '.repeat(2000) }],
    });
    await store.conversations.append('c1', [{ role: 'assistant', content: 'Hi!' }]);
    await store.conversations.holds.place('c1', { reason: 'dispute' });
    const { pin } = await store.segments.put(new Uint8Array(10_000).fill(7));
    expect(pin).toBeDefined();
    await store.blobs.put('b1', [Buffer.alloc(3_000_000, 'blob')]);
    return store;
  }

  test('is restored to a directory and to objects, each with everything in it', async () => {
    const store = await filled();
    const folder = join(scratchFolder(), 'backup');
    const report = await store.backup(folder);
    expect(report).toMatchObject({ location: folder, manifests: 3, unreadable: [] });
    const expected = await contents(store.backend);
    for (const location of [join(scratchFolder(), 'restored'), `memory:${folder}`]) {
      expect(await restoreStore(folder, location)).toMatchObject({ manifests: 3, findings: [] });
      if (location.startsWith('memory:')) continue;
      const restored = await openStore(location, { create: false });
      expect(await contents(restored.backend)).toEqual(expected);
      expect(await restored.conversations.get('c1')).toEqual(await store.conversations.get('c1'));
      expect((await headOf(restored.backend, 'c1'))?.hold?.reason).toBe('dispute');
      await restored.close();
    }
    await store.close();
  });

  test('is brought up to date in place, and nothing else is written over', async () => {
    const store = await filled();
    const folder = scratchFolder();
    await store.backup(folder);
    expect((await store.backup(folder)).copiedBytes).toBe(0);
    const other = new Store(
      await openObjects(new MemoryObjectStore({ location: 'memory:elsewhere' })),
    );
    await expect(other.backup(folder)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    const madeAnew = new Store(await memory());
    expect((await store.backup(folder)).copiedBytes).toBe(0);
    await madeAnew.conversations.put({ id: 'new', messages: [] });
    await expect(madeAnew.backup(folder)).rejects.toThrow(
      /another store that was at memory: before/,
    );
    await expect(store.backup('s3://bucket/prefix')).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await madeAnew.close();
    const foreign = scratchFolder();
    writeFileSync(join(foreign, 'thesis.tex'), '');
    await expect(store.backup(foreign)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(readdirSync(foreign)).toEqual(['thesis.tex']);
    await expect(restoreStore(folder, join(folder, 'store'))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await expect(restoreStore(scratchFolder(), 'memory:')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await other.close();
    await store.close();
  });

  test('of a store that is empty now leaves an older one alone', async () => {
    const store = new Store(await memory());
    const folder = scratchFolder();
    await store.conversations.put({ id: 'c1', messages: [] });
    await store.backup(folder);
    await store.conversations.delete('c1');
    await expect(store.backup(folder)).rejects.toThrow(/nothing in memory: to back up/);
    const copy = await openStore(join(folder, 'store'), { readOnly: true });
    expect(await idsOf(copy.backend.list('conversation'))).toEqual(['c1']);
    await copy.close();
    await store.close();
  });

  test('of a directory is restored to objects', async () => {
    const path = scratchFolder();
    const local = await openStore(path);
    await local.conversations.put({
      id: 'c1',
      messages: [{ role: 'user', content: 'Hello. '.repeat(2000) }],
    });
    const folder = join(scratchFolder(), 'backup');
    await local.backup(folder);
    await local.close();
    const location = `memory:${path}`;
    const keeper = await openStore(location);
    expect(await restoreStore(folder, location)).toMatchObject({ manifests: 1, findings: [] });
    expect(await keeper.conversations.get('c1')).toMatchObject({ messages: [{ role: 'user' }] });
    await expect(restoreStore(folder, location)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await keeper.close();
    expect(existsSync(join(folder, 'varve.db'))).toBe(true);
  });
});

test('a bucket with a manifest that cannot be read is backed up but for that, and the backup says so', async () => {
  const objects = new MemoryObjectStore();
  const store = new Store(await openObjects(objects));
  for (const id of ['a', 'b'])
    await store.conversations.put({ id, messages: [{ content: `text of ${id}` }] });
  const folder = scratchFolder();
  await store.backup(folder);
  await store.conversations.put({ id: 'c', messages: [{ content: 'text of c' }] });
  await objects.put('manifests/conversation/b.json', Buffer.from('damaged'), { kind: 'any' });
  await expect(store.backup(folder)).rejects.toMatchObject({
    code: 'CORRUPT',
    message: expect.stringMatching(
      /^everything else was copied: manifests\/conversation\/b\.json: /,
    ),
  });
  const copy = await openStore(join(folder, 'store'), { readOnly: true });
  // What the backup had of it, it keeps.
  expect(await idsOf(copy.backend.list('conversation'))).toEqual(['a', 'b', 'c']);
  await copy.close();
});

test('a backup of a bucket reports its size once', async () => {
  const store = new Store(await memory());
  await store.conversations.put({ id: 'a', messages: [{ content: 'text' }] });
  const folder = scratchFolder();
  const { bytes } = await store.backup(folder);
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((file) =>
    file.isFile(),
  );
  const taken = files.reduce(
    (sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size,
    0,
  );
  expect(bytes).toBeLessThan(1.5 * taken);
});
