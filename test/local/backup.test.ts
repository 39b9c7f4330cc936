import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { openMemory } from '../../src/backends/object/open-memory.ts';
import { restoreStore } from '../../src/recovery.ts';
import { Store } from '../../src/store.ts';
import { commit, contentOf, entry, idsOf, put, remove } from '../conformance/builders.ts';
import { Child } from './process/child.ts';
import { compileAgent } from './process/compiled.ts';
import { keyOf, namesOf, readNames } from './process/workload.ts';
import { expectSound, openStore, packFiles, rejection, scratchFolder } from './support.ts';

const compiled = { agent: '' };
beforeAll(async () => {
  compiled.agent = await compileAgent();
});

async function smallStore(): Promise<LocalBackend> {
  const backend = await openStore(scratchFolder(), { packBytes: 2000 });
  for (let number = 0; number < 60; number++) await commit(backend, putOf(number));
  return backend;
}

const putOf = (number: number) =>
  put(`c${number}`, [entry(`body ${number}`, `text ${number}`, 'text of all')]);
const contentsOf = (number: number) => [
  { body: `body ${number}`, segments: [`text ${number}`, 'text of all'] },
];

function filesOf(path: string): Map<string, Buffer> {
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((name) =>
    statSync(join(path, name)).isFile(),
  );
  return new Map(names.map((name) => [name, readFileSync(join(path, name))]));
}

describe('a backup', () => {
  test('is a store that opens, and can be restored', async () => {
    const backend = await smallStore();
    const [folder, target] = [
      join(scratchFolder(), 'deep', 'backup'),
      join(scratchFolder(), 'restored'),
    ];
    const report = await backend.backup(folder);
    expect(report).toMatchObject({ location: folder, packs: packFiles(folder).length });
    expect(report.copiedBytes).toBe(report.bytes);
    const before = filesOf(folder);
    expect(await restoreStore(folder, target)).toMatchObject({
      location: target,
      findings: [],
      audit: { manifests: 60, unrepaired: 0 },
    });
    expect(filesOf(folder)).toEqual(before);
    for (const path of [folder, target]) {
      const copy = await LocalBackend.open(path, { create: false });
      for (const number of [0, 33, 59])
        expect(await contentOf(copy, `c${number}`)).toEqual(contentsOf(number));
      await commit(copy, put('later', [entry('later', 'new text')]));
      await copy.close();
      await expectSound(path);
    }
  });

  test.each([
    'backup',
    'packs/backup',
    '.',
    'other/../backup',
    'link/backup',
    'link',
    'link/../backup',
  ])('goes nowhere into the store itself, whatever the path: %s', async (path) => {
    const backend = await smallStore();
    const root = backend.location.slice('file:'.length);
    const link = join(scratchFolder(), 'link');
    symlinkSync(root, link);
    const before = [...filesOf(root).keys()].sort();
    const folder = path.startsWith('link') ? `${dirname(link)}/${path}` : `${root}/${path}`;
    // Whether .. leads back from a link is for the file system to say.
    if (path === 'link/../backup') symlinkSync(root, join(dirname(link), 'backup'));
    await rejection(backend.backup(folder), 'INVALID_ARGUMENT');
    expect([...filesOf(root).keys()].sort()).toEqual(before);
  });

  test('goes to no folder that holds the store', async () => {
    const folder = scratchFolder();
    const backend = await openStore(join(folder, 'packs'));
    await commit(backend, putOf(1));
    await rejection(backend.backup(folder), 'INVALID_ARGUMENT');
    expect(readdirSync(folder)).toEqual(['packs']);
    expect(await contentOf(backend, 'c1')).toEqual(contentsOf(1));
  });

  test('is not restored into itself, not even through a link', async () => {
    const folder = join(scratchFolder(), 'backup');
    const backend = await smallStore();
    await backend.backup(folder);
    const bucket = await openMemory('', {});
    await commit(bucket, putOf(1));
    const replica = scratchFolder();
    await new Store(bucket).backup(replica);
    for (const from of [folder, replica]) {
      const link = join(scratchFolder(), 'link');
      symlinkSync(from, link);
      const before = [...filesOf(from).keys()].sort();
      for (const target of [
        join(from, 'restored'),
        join(link, 'restored'),
        join(link, 'packs', 'deep'),
      ]) {
        await rejection(restoreStore(from, target), 'INVALID_ARGUMENT');
        await rejection(restoreStore(link, target), 'INVALID_ARGUMENT');
      }
      expect([...filesOf(from).keys()].sort()).toEqual(before);
    }
    await bucket.close();
  });

  test('of a store that is only read is possible', async () => {
    const backend = await smallStore();
    const reader = await openStore(backend.location.slice('file:'.length), { readOnly: true });
    const folder = scratchFolder();
    await reader.backup(folder);
    await expectSound(folder);
  });

  test('is consistent while writers and collectors work', async () => {
    const path = scratchFolder();
    const [kept, folder] = [40, scratchFolder()];
    await new Child(compiled.agent, {
      path,
      task: 'commit',
      from: 100,
      to: 100 + kept,
      packBytes: 20_000,
    }).succeeds();
    const churners = [1, 2].map(
      (seed) =>
        new Child(compiled.agent, {
          path,
          task: 'churn',
          seed,
          forMs: 3000,
          packBytes: 20_000,
          blockBytes: 4000,
        }),
    );
    const collector = new Child(compiled.agent, {
      path,
      task: 'collect',
      seed: 1,
      forMs: 3000,
      packBytes: 20_000,
      blockBytes: 4000,
    });
    await collector.says('collecting');
    const backend = await openStore(path);
    for (let round = 0; round < 5; round++) {
      await backend.backup(folder);
      const copy = join(scratchFolder(), 'copy');
      cpSync(folder, copy, { recursive: true });
      await expectSound(copy);
      const reader = await openStore(copy, { readOnly: true });
      for (let number = 100; number < 100 + kept; number++) {
        const names = Array.from({ length: 1 + (number % 3) }, (_, at) => namesOf(number, at));
        expect(await readNames(reader, keyOf(number))).toEqual(names);
      }
    }
    for (const child of [...churners, collector]) await child.succeeds();
  });

  test('over an older one copies only what is new, and drops what is gone', async () => {
    const backend = await smallStore();
    const folder = scratchFolder();
    const first = await backend.backup(folder);
    await commit(backend, putOf(60));
    const second = await backend.backup(folder);
    expect(second.copiedBytes).toBeLessThan(first.copiedBytes);
    const packBytes = second.copiedBytes - statSync(join(folder, 'varve.db')).size;
    expect(packBytes).toBeLessThan(1000);
    for (let number = 0; number < 60; number++) await commit(backend, remove(`c${number}`));
    await backend.collect({ graceMs: 0, full: true });
    const third = await backend.backup(folder);
    expect(packFiles(folder)).toHaveLength(third.packs ?? 0);
    expect(third.packs).toBeLessThan(second.packs ?? 0);
    const copy = await openStore(folder, { readOnly: true });
    expect(await idsOf(copy.list('conversation'))).toEqual(['c60']);
    expect(await contentOf(copy, 'c60')).toEqual(contentsOf(60));
    await expectSound(folder);
  });

  test('that was cut off in the middle is still the older one', async () => {
    const backend = await smallStore();
    const folder = scratchFolder();
    await backend.backup(folder);
    for (let number = 60; number < 120; number++) await commit(backend, putOf(number));
    const stop = new AbortController();
    const onProgress = () => stop.abort();
    await rejection(backend.backup(folder, { signal: stop.signal, onProgress }), 'ABORTED');
    const copy = await LocalBackend.open(folder, { readOnly: true });
    expect(await idsOf(copy.list('conversation'))).toHaveLength(60);
    expect(await contentOf(copy, 'c59')).toEqual(contentsOf(59));
    await copy.close();
    await backend.backup(folder);
    await expectSound(folder);
    const whole = await openStore(folder, { readOnly: true });
    expect(await idsOf(whole.list('conversation'))).toHaveLength(120);
  });

  test('goes neither over anything else nor into the store itself', async () => {
    const backend = await smallStore();
    const path = backend.location.slice('file:'.length);
    await rejection(backend.backup(path), 'INVALID_ARGUMENT');
    await rejection(backend.backup(join(path, 'packs')), 'INVALID_ARGUMENT');
    const thesis = scratchFolder();
    writeFileSync(join(thesis, 'thesis.tex'), 'important');
    expect((await rejection(backend.backup(thesis), 'INVALID_ARGUMENT')).message).toContain(
      'thesis.tex',
    );
    const store = scratchFolder();
    const other = await LocalBackend.open(store);
    await commit(other, putOf(1));
    await other.close();
    const before = filesOf(store);
    expect((await rejection(backend.backup(store), 'INVALID_ARGUMENT')).message).toContain(
      'holds a store',
    );
    for (const [name, bytes] of before)
      expect(readFileSync(join(store, name)).equals(bytes), name).toBe(true);
    const [used, foreign] = [scratchFolder(), scratchFolder()];
    await backend.backup(used);
    const writer = await LocalBackend.open(used);
    await commit(writer, put('theirs', [entry('x', 'y')]));
    await writer.close();
    expect((await rejection(backend.backup(used), 'INVALID_ARGUMENT')).message).toContain(
      'written to',
    );
    await rejection(restoreStore(used, join(scratchFolder(), 'new')), 'INVALID_ARGUMENT');
    const another = await openStore(scratchFolder());
    await commit(another, putOf(77));
    await another.backup(foreign);
    const theirs = filesOf(foreign);
    expect((await rejection(backend.backup(foreign), 'INVALID_ARGUMENT')).message).toContain(
      'another store',
    );
    for (const [name, bytes] of theirs)
      expect(readFileSync(join(foreign, name)).equals(bytes), name).toBe(true);
  });

  test('never takes the place of that of another store, even of one that has no pack in common with it', async () => {
    const backend = await smallStore();
    const folder = scratchFolder();
    await backend.backup(folder);
    const before = filesOf(folder);
    const empty = await openStore(scratchFolder());
    expect((await rejection(empty.backup(folder), 'INVALID_ARGUMENT')).message).toContain(
      'another store',
    );
    for (const [name, bytes] of before)
      expect(readFileSync(join(folder, name)).equals(bytes), name).toBe(true);
    const restored = join(scratchFolder(), 'restored');
    await restoreStore(folder, restored);
    expect(await (await openStore(restored)).backup(folder)).toMatchObject({ location: folder });
  });

  test('whose index is damaged is distinguished from a damaged store', async () => {
    const backend = await smallStore();
    const folder = scratchFolder();
    await backend.backup(folder);
    truncateSync(join(folder, 'varve.db'), 50_000);
    expect((await rejection(backend.backup(folder), 'CORRUPT')).message).toContain(
      `older backup in ${folder}`,
    );
  });

  test('that lacks a pack is restored without it, and one of a store that does is refused', async () => {
    const backend = await smallStore();
    const folder = scratchFolder();
    await backend.backup(folder);
    const [, lost = ''] = packFiles(folder);
    rmSync(lost);
    const { audit, findings } = await restoreStore(folder, join(scratchFolder(), 'restored'));
    expect(audit.unrepaired).toBeGreaterThan(0);
    expect(findings.map(({ kind }) => kind)).toContain('missing-data');
    const path = backend.location.slice('file:'.length);
    rmSync(packFiles(path)[1] ?? '');
    expect((await rejection(backend.backup(scratchFolder()), 'CORRUPT')).message).toContain(
      'is missing',
    );
  });

  test('that is damaged says so when it is restored', async () => {
    const backend = await smallStore();
    const folder = scratchFolder();
    await backend.backup(folder);
    const [, pack = ''] = packFiles(folder);
    const bytes = readFileSync(pack);
    bytes[bytes.length - 3] = (bytes[bytes.length - 3] as number) ^ 1;
    writeFileSync(pack, bytes);
    const { audit, findings } = await restoreStore(folder, join(scratchFolder(), 'restored'));
    expect(audit.unrepaired).toBeGreaterThan(0);
    expect(findings.map(({ kind }) => kind)).toContain('corrupt-data');
  });

  test('is restored only into a new or empty folder, and only from where there is one', async () => {
    const backend = await smallStore();
    const [folder, taken] = [scratchFolder(), scratchFolder()];
    await backend.backup(folder);
    writeFileSync(join(taken, 'thesis.tex'), 'important');
    await rejection(restoreStore(folder, taken), 'INVALID_ARGUMENT');
    await rejection(restoreStore(join(folder, 'absent'), join(taken, 'new')), 'NOT_FOUND');
    expect(existsSync(join(taken, 'new'))).toBe(false);
  });
});
