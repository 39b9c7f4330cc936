import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { openObjects } from '../../src/backends/object/open-objects.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import { openStore, Store } from '../../src/store.ts';
import { commit, entry, hold, put, remove } from '../conformance/builders.ts';
import { byText, contents, WRITE } from './replicas.ts';

/** A backup of a bucket reads again only what has changed, and copies nothing less for that. */

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'varve-backup-'));
  folders.push(folder);
  return folder;
}

const openSource = async (objects: MemoryObjectStore) => new Store(await openObjects(objects));

/** Works on the copy itself, as nobody should. */
async function inCopy<Result>(folder: string, work: (copy: Store) => Promise<Result>) {
  const copy = await openStore(join(folder, 'store'));
  try {
    return await work(copy);
  } finally {
    await copy.close();
  }
}

async function requestsOf(store: Store, work: () => Promise<unknown>): Promise<number> {
  const sum = () => Object.values(store.metrics()?.requests ?? {}).reduce((a, b) => a + b, 0);
  const before = sum();
  await work();
  return sum() - before;
}

async function filled(count: number): Promise<Store> {
  const objects = new MemoryObjectStore();
  const writer = await openSource(objects);
  await writer.backend.commit(
    Array.from({ length: count }, (_, at) => put(`c${at}`, [entry('1', `text ${at % 7}`)])),
  );
  await commit(writer.backend, hold('c1', true, 'why'));
  await writer.close();
  return openSource(objects);
}

test('an unchanged backup reads no manifest', async () => {
  const count = 1123;
  const store = await filled(count);
  const folder = scratchFolder();
  await store.backup(folder);
  await store.backup(folder);
  const requests = await requestsOf(store, async () => {
    expect(await store.backup(folder)).toMatchObject({ manifests: count, copiedBytes: 0 });
  });
  expect(requests).toBeLessThan(count / 250 + 10);
  await commit(store.backend, put('c7', [entry('2', 'new')], { ifExists: 'replace' }));
  await commit(store.backend, hold('c8', true));
  await commit(store.backend, remove('c9'));
  const more = await requestsOf(store, async () => {
    expect(await store.backup(folder)).toMatchObject({ manifests: count - 1, copiedBytes: 3 });
  });
  expect(more).toBeLessThan(count / 250 + 20);
  expect(await inCopy(folder, ({ backend }) => contents(backend))).toEqual(
    await contents(store.backend),
  );
  await store.close();
});

test('a backup is what its source is, after any changes of either', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          here: fc.array(WRITE, { maxLength: 8 }),
          there: fc.array(WRITE, { maxLength: 3 }),
          what: fc.constantFrom('nothing', 'nothing', 'forget', 'return'),
        }),
        { minLength: 2, maxLength: 4 },
      ),
      async (rounds) => {
        const store = new Store(await openObjects(new MemoryObjectStore()));
        await commit(store.backend, put('always', [entry('there')]));
        const folder = scratchFolder();
        let older: Buffer | undefined;
        const memory = join(folder, 'copied.bin');
        for (const { here, there, what } of rounds) {
          await store.backend.commit(here);
          await store.backup(folder);
          expect((await inCopy(folder, ({ backend }) => contents(backend))).sort(byText)).toEqual(
            (await contents(store.backend)).sort(byText),
          );
          older ??= readFileSync(memory);
          if (there.length > 0) await inCopy(folder, ({ backend }) => backend.commit(there));
          if (what === 'forget') rmSync(memory);
          if (what === 'return') writeFileSync(memory, older);
        }
        await store.close();
      },
    ),
    { numRuns: 12 },
  );
}, 60_000);

describe('a backup reads all again', () => {
  async function twice() {
    const store = await filled(100);
    const folder = scratchFolder();
    await store.backup(folder);
    await store.backup(folder);
    expect(await requestsOf(store, () => store.backup(folder))).toBeLessThan(20);
    return { store, folder };
  }

  test('after an audit of the copy, which may have marked what is to be healed', async () => {
    const { store, folder } = await twice();
    await inCopy(folder, async (copy) => {
      for await (const finding of copy.audit({ repair: true })) expect.unreachable(finding.message);
    });
    expect(await requestsOf(store, () => store.backup(folder))).toBeGreaterThan(100);
    expect(await requestsOf(store, () => store.backup(folder))).toBeLessThan(20);
    await store.close();
  });

  test.each([
    ['damaged', (bytes: Buffer) => bytes.fill(1, bytes.length - 1)],
    ['cut off', (bytes: Buffer) => bytes.subarray(0, bytes.length - 16)],
    [
      'of a later version',
      (bytes: Buffer) => Buffer.from(bytes.toString('latin1').replace('"v":1', '"v":2'), 'latin1'),
    ],
  ])('when what it remembers is %s', async (_, change) => {
    const { store, folder } = await twice();
    const memory = join(folder, 'copied.bin');
    writeFileSync(memory, change(readFileSync(memory)));
    expect(await requestsOf(store, () => store.backup(folder))).toBeGreaterThan(100);
    await store.close();
  });

  test('and says so, when files of the copy are lost', async () => {
    const { store, folder } = await twice();
    const packs = join(folder, 'store', 'packs');
    for (const name of readdirSync(packs)) rmSync(join(packs, name));
    expect((await store.backup(folder)).unreadable).toHaveLength(100);
    await store.close();
  });
});

test('a backup that was cut off keeps what it has copied', async () => {
  const store = await filled(600);
  const folder = scratchFolder();
  const aborted = new AbortController();
  const cutOff = store.backup(folder, {
    signal: aborted.signal,
    onProgress: ({ done }) => done >= 256 && aborted.abort(),
  });
  await expect(cutOff).rejects.toMatchObject({ code: 'ABORTED' });
  expect(await requestsOf(store, () => store.backup(folder))).toBeLessThan(600);
  expect(await inCopy(folder, ({ backend }) => contents(backend))).toEqual(
    await contents(store.backend),
  );
  await store.close();
});
