import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openSqlite } from '../../src/backends/local/database/sqlite-driver.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { restoreBackup } from '../../src/backends/local/operations/restore.ts';
import { auditOf, commit, contentOf, entry, idsOf, put, remove } from '../conformance/builders.ts';
import { auditAfresh, expectSound, openStore, rejection, scratchFolder } from './support.ts';

const isWindows = process.platform === 'win32';

async function filled(path: string, count = 3): Promise<string> {
  const backend = await LocalBackend.open(path);
  for (let number = 0; number < count; number++) {
    await commit(backend, put(`c ${number}`, [entry(`body ${number}`, `text of c ${number}`)]));
  }
  await backend.close();
  return path;
}

const firstPack = (path: string) => join(path, 'packs', '00000001.pack');

/** Moves something out of the store, and leaves a link to it. */
function replaceByLink(path: string, target: string): void {
  renameSync(path, target);
  symlinkSync(target, path);
}

describe.skipIf(isWindows)('a link inside a store', () => {
  test.each(['varve.db', 'packs', 'locks'])(
    'in the place of %s keeps it from being opened',
    async (name) => {
      const path = await filled(scratchFolder());
      const elsewhere = join(scratchFolder(), 'elsewhere');
      replaceByLink(join(path, name), elsewhere);
      for (const readOnly of [false, true]) {
        const error = await rejection(LocalBackend.open(path, { readOnly }), 'INVALID_ARGUMENT');
        expect(error.message).toContain(`${join(path, name)} is a symbolic link`);
      }
    },
  );

  test.each(['varve.db', 'varve.db-wal', 'varve.db-shm', 'varve.db-journal', 'packs', 'locks'])(
    'that leads nowhere, called %s, creates nothing there',
    async (name) => {
      const path = scratchFolder();
      const victim = join(scratchFolder(), 'victim');
      symlinkSync(victim, join(path, name));
      await rejection(LocalBackend.open(path), 'INVALID_ARGUMENT');
      expect(existsSync(victim)).toBe(false);
    },
  );

  test('is not followed by the log of the index', async () => {
    const path = await filled(scratchFolder());
    const victim = join(scratchFolder(), 'victim');
    writeFileSync(victim, 'precious');
    symlinkSync(victim, join(path, 'varve.db-wal'));
    await rejection(LocalBackend.open(path), 'INVALID_ARGUMENT');
    expect(readFileSync(victim, 'utf8')).toBe('precious');
  });

  test('in the place of an open pack is neither read nor appended to', async () => {
    const path = await filled(scratchFolder());
    const elsewhere = join(scratchFolder(), 'elsewhere');
    replaceByLink(firstPack(path), elsewhere);
    const before = readFileSync(elsewhere);
    const backend = await openStore(path);
    await rejection(contentOf(backend, 'c 1'), 'CORRUPT');
    await commit(backend, put('new', [entry('1', 'new text')]));
    expect(await contentOf(backend, 'new')).toEqual([{ body: '1', segments: ['new text'] }]);
    expect(readFileSync(elsewhere)).toEqual(before);
    const { findings } = await auditOf(backend);
    expect(findings.some(({ message }) => message.includes('is a symbolic link'))).toBe(true);
    await backend.collect({ graceMs: 0, full: true });
    await backend.backup(join(scratchFolder(), 'backup')).catch(() => undefined);
    expect(readFileSync(elsewhere)).toEqual(before);
    expect(lstatSync(firstPack(path)).isSymbolicLink()).toBe(true);
  });

  test('in the place of a pack to come is not written to', async () => {
    const path = scratchFolder();
    await (await LocalBackend.open(path)).close();
    const victim = join(scratchFolder(), 'victim');
    writeFileSync(victim, 'precious');
    symlinkSync(victim, firstPack(path));
    symlinkSync(join(path, 'nowhere'), join(path, 'packs', '00000002.pack'));
    const backend = await openStore(path);
    await commit(backend, put('a', [entry('1', 'text')]));
    expect(await contentOf(backend, 'a')).toEqual([{ body: '1', segments: ['text'] }]);
    expect(readFileSync(victim, 'utf8')).toBe('precious');
    expect(existsSync(join(path, 'nowhere'))).toBe(false);
    expect(readdirSync(join(path, 'packs')).sort()).toEqual([
      '00000001.pack',
      '00000002.pack',
      '00000003.pack',
    ]);
  });

  test('that a repair removes is removed itself, not what it leads to', async () => {
    const path = await filled(scratchFolder());
    const victim = join(scratchFolder(), 'victim');
    writeFileSync(victim, 'precious');
    const link = join(path, 'packs', '00000077.pack');
    symlinkSync(victim, link);
    symlinkSync(join(path, 'nowhere'), join(path, 'packs', '00000078.pack'));
    mkdirSync(join(path, 'packs', '00000079.pack'));
    const findings = await auditAfresh(path, { repair: true });
    expect(findings.map(({ kind, repaired }) => [kind, repaired])).toEqual([
      ['orphaned-data', true],
      ['orphaned-data', true],
      ['orphaned-data', false],
    ]);
    expect(lstatSync(link, { throwIfNoEntry: false })).toBeUndefined();
    expect(readFileSync(victim, 'utf8')).toBe('precious');
  });

  test('among the locks is taken for none, and locks nothing elsewhere', async () => {
    const path = await filled(scratchFolder());
    const victim = join(scratchFolder(), 'victim.db');
    const database = openSqlite(victim);
    onTestFinished(() => void database.close());
    database.exec('CREATE TABLE t (x); BEGIN; SELECT * FROM t');
    symlinkSync(victim, join(path, 'locks', '11111111-1111-4111-8111-111111111111.lock'));
    const backend = await openStore(path);
    await commit(backend, put('new', [entry('1', 'new text')]));
    await backend.collect({ graceMs: 0, full: true });
    expect(existsSync(victim)).toBe(true);
  });

  test('in a backup is not written through, and none is read from one', async () => {
    const path = await filled(scratchFolder());
    const victim = join(scratchFolder(), 'victim');
    writeFileSync(victim, 'precious');
    for (const name of ['packs', 'locks', 'varve.db']) {
      const folder = scratchFolder();
      symlinkSync(victim, join(folder, name));
      const backend = await openStore(path);
      await rejection(backend.backup(folder), 'INVALID_ARGUMENT');
    }
    const backend = await openStore(path);
    const folder = join(scratchFolder(), 'backup');
    await backend.backup(folder);
    replaceByLink(firstPack(folder), `${folder}.pack`);
    const before = readFileSync(`${folder}.pack`);
    await commit(backend, put('new', [entry('1', 'new text')]));
    await rejection(backend.backup(folder), 'CORRUPT');
    await rejection(restoreBackup(folder, join(scratchFolder(), 'restored'), {}), 'CORRUPT');
    expect(readFileSync(`${folder}.pack`)).toEqual(before);
    rmSync(join(folder, 'varve.db.partial'), { force: true });
    symlinkSync(victim, join(folder, 'varve.db.partial'));
    await backend.backup(folder).catch(() => undefined);
    expect(readFileSync(victim, 'utf8')).toBe('precious');
  });

  test('may be the path of the store itself', async () => {
    const store = join(scratchFolder(), 'store');
    const link = join(scratchFolder(), 'link');
    symlinkSync(await filled(store), link);
    const backend = await openStore(link);
    await commit(backend, put('new', [entry('1', 'new text')]));
    await backend.collect({ graceMs: 0, full: true });
    const backup = join(scratchFolder(), 'backup');
    await backend.backup(backup);
    await backend.close();
    expect(await idsOf((await openStore(store)).list('conversation'))).toEqual([
      'c 0',
      'c 1',
      'c 2',
      'new',
    ]);
    await expectSound(link);
  });
});

describe.skipIf(isWindows)('a pipe or a directory in the place of a file', () => {
  test('is an error, and nothing waits for it', async () => {
    const path = await filled(scratchFolder());
    renameSync(firstPack(path), `${path}.pack`);
    expect(spawnSync('mkfifo', [firstPack(path)]).status).toBe(0);
    const backend = await openStore(path);
    expect((await rejection(contentOf(backend, 'c 1'), 'CORRUPT')).message).toContain(
      'or not a file',
    );
    await commit(backend, put('new', [entry('1', 'new text')]));
    expect(await contentOf(backend, 'new')).toHaveLength(1);
    expect(spawnSync('mkfifo', [join(path, 'varve.db-journal')]).status).toBe(0);
    await rejection(LocalBackend.open(path), 'INVALID_ARGUMENT');
  });
});

describe.skipIf(isWindows)('a hard link', () => {
  test('to a pack keeps it from being appended to, and from nothing else', async () => {
    const path = await filled(scratchFolder());
    const other = `${path}.linked`;
    linkSync(firstPack(path), other);
    const before = readFileSync(other);
    const backend = await openStore(path);
    await commit(backend, put('new', [entry('1', 'new text')]));
    expect(readFileSync(other)).toEqual(before);
    expect(await contentOf(backend, 'c 1')).toEqual([
      { body: 'body 1', segments: ['text of c 1'] },
    ]);
    await commit(backend, remove('c 1'));
    await backend.collect({ graceMs: 0, full: true });
    expect(readFileSync(other)).toEqual(before);
    await backend.close();
    await expectSound(path);
  });

  test('to the index keeps it from being written to, and not from being read', async () => {
    const path = await filled(scratchFolder());
    linkSync(join(path, 'varve.db'), `${path}.linked`);
    const error = await rejection(LocalBackend.open(path), 'INVALID_ARGUMENT');
    expect(error.message).toContain('hard link');
    const backend = await openStore(path, { readOnly: true });
    expect(await contentOf(backend, 'c 1')).toHaveLength(1);
  });
});

test('a file with the number of a pack that no index has named is left as it is', async () => {
  const path = await filled(scratchFolder());
  const foreign = join(path, 'packs', '00000002.pack');
  writeFileSync(foreign, 'somebody’s');
  const backend = await openStore(path, { packBytes: 1 });
  await commit(backend, put('other', [entry('1', 'other text')]));
  expect(readFileSync(foreign, 'utf8')).toBe('somebody’s');
  expect(await contentOf(backend, 'other')).toEqual([{ body: '1', segments: ['other text'] }]);
});

test('a pack of commits that the index lacks is left as it is, and nothing is written beside it', async () => {
  const path = await filled(scratchFolder());
  const older = readFileSync(join(path, 'varve.db'));
  const backend = await LocalBackend.open(path, { packBytes: 1 });
  await commit(backend, put('newer', [entry('1', 'newer text')]));
  await backend.close();
  writeFileSync(join(path, 'varve.db'), older);
  const newer = readFileSync(join(path, 'packs', '00000002.pack'));
  const again = await openStore(path, { packBytes: 1 });
  const error = await rejection(commit(again, put('other', [entry('1', 'other text')])), 'CORRUPT');
  expect(error.message).toContain('varve salvage');
  expect(readFileSync(join(path, 'packs', '00000002.pack'))).toEqual(newer);
});

/** The modes of all that is below a path, by what it is. */
function modesBelow(path: string): Record<string, string> {
  const modes: Record<string, string> = { '.': octal(path) };
  for (const name of readdirSync(path, { recursive: true }) as string[]) {
    modes[name.replace(/[0-9a-f-]{36}/, 'x')] = octal(join(path, name));
  }
  return modes;
}

function octal(path: string): string {
  return (statSync(path).mode & 0o7777).toString(8);
}

function withUmask(umask: number): void {
  const before = process.umask(umask);
  onTestFinished(() => void process.umask(before));
}

describe.skipIf(isWindows)('what is created', () => {
  const files = ['varve.db', 'varve.db-wal', 'varve.db-shm', 'packs/00000001.pack', 'locks/x.lock'];
  const expected = (file: string, folder: string) => ({
    ...Object.fromEntries(files.map((name) => [name, file])),
    ...Object.fromEntries(['.', 'packs', 'locks'].map((name) => [name, folder])),
  });

  test.each([0, 0o022, 0o077])('is for its owner, with umask %i', async (umask) => {
    withUmask(umask);
    const deep = join(scratchFolder(), 'deep');
    const path = join(deep, 'store');
    const backend = await openStore(path);
    await commit(backend, put('a', [entry('1', 'text')]));
    expect(modesBelow(path)).toEqual(expected('600', '700'));
    expect(octal(deep)).toBe('700');
    const backup = join(scratchFolder(), 'backup');
    await backend.backup(backup);
    await restoreBackup(backup, `${path}.restored`, {});
    await commit(backend, put('b', [entry('1', 'text b')]));
    await backend.backup(backup);
    for (const copy of [backup, `${path}.restored`]) {
      expect(modesBelow(copy)).toMatchObject({ '.': '700', packs: '700', 'varve.db': '600' });
      expect(octal(firstPack(copy))).toBe('600');
    }
  });

  test.each([0, 0o022, 0o077])(
    'is for a group that shares the store, with umask %i, ever after',
    async (umask) => {
      withUmask(umask);
      const path = join(scratchFolder(), 'store');
      const first = await LocalBackend.open(path, { sharedWith: 'group', packBytes: 1 });
      await commit(first, put('a', [entry('1', 'text')]));
      expect(modesBelow(path)).toEqual(expected('660', '2770'));
      await first.close();
      const second = await openStore(path);
      await commit(second, put('b', [entry('1', 'more')]));
      expect(modesBelow(path)).toEqual({
        ...expected('660', '2770'),
        'packs/00000002.pack': '660',
      });
      await rejection(LocalBackend.open(path, { sharedWith: 'owner' }), 'INVALID_ARGUMENT');
    },
  );

  test('in an older store gives no more than its index does, and changes no mode', async () => {
    withUmask(0);
    const path = await filled(join(scratchFolder(), 'store'));
    const before = {
      'varve.db': 0o644,
      packs: 0o755,
      locks: 0o755,
      '.': 0o755,
      'packs/00000001.pack': 0o644,
    };
    for (const [name, mode] of Object.entries(before)) chmodSync(join(path, name), mode);
    const backend = await openStore(path, { packBytes: 1 });
    await commit(backend, put('new', [entry('1', 'new text')]));
    expect(modesBelow(path)).toMatchObject({
      ...Object.fromEntries(Object.entries(before).map(([name, mode]) => [name, mode.toString(8)])),
      'packs/00000002.pack': '640',
      'locks/x.lock': '640',
    });
    const error = await rejection(
      LocalBackend.open(path, { sharedWith: 'group' }),
      'INVALID_ARGUMENT',
    );
    expect(error.message).toContain('varve.db has mode 644');
  });
});
