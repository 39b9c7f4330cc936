import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { DoctorReport } from '../../src/backends/contract/rescue.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { doctor } from '../../src/recovery.ts';
import { commit, entry, put } from '../conformance/builders.ts';
import { openStore, rejection, scratchFolder } from './support.ts';

async function filled(sharedWith: 'owner' | 'group' = 'owner'): Promise<string> {
  const path = join(scratchFolder(), 'store');
  const backend = await LocalBackend.open(path, { packBytes: 1, sharedWith });
  for (const id of ['a', 'b', 'c'])
    await commit(backend, put(id, [entry(`body of ${id}`, `text of ${id}`)]));
  await backend.close();
  return path;
}

const packOf = (path: string, number: number) => join(path, 'packs', `0000000${number}.pack`);

/** Names, kinds, modes, sizes and times of everything below a path. */
function stateOf(path: string): string {
  const { stdout } = spawnSync('find', [path, '-printf', '%P %y %m %U %s %T@ %C@ %l\n']);
  return stdout.toString().split('\n').sort().join('\n');
}

const kindsOf = ({ findings }: DoctorReport) => findings.map(({ kind }) => kind);

test('a sound store has no findings, whether it is open or not, and nothing is changed', async () => {
  const path = await filled();
  const before = stateOf(path);
  const report = await doctor(path);
  expect(report.findings).toEqual([]);
  expect(report).toMatchObject({
    location: `file:${path}`,
    directory: path,
    node: process.versions.node,
  });
  expect(report.freeBytes).toBeGreaterThan(0);
  expect(report.sqlite).toMatch(/^3\.\d+/);
  expect(stateOf(path)).toBe(before);
  const backend = await openStore(path);
  await commit(backend, put('d', [entry('1', 'more')]));
  expect((await doctor(path)).findings).toEqual([]);
  await commit(backend, put('e', [entry('1', 'still more')]));
});

describe.skipIf(process.platform === 'win32')('a doctor finds', () => {
  test.each<[string, (path: string) => void, string[], string]>([
    ['a link in the place of a pack', linkPack, ['link'], 'is a symbolic link'],
    [
      'a link in the place of the packs',
      (path) => linkTo(join(path, 'packs')),
      ['link'],
      'packs is a symbolic link',
    ],
    [
      'a link in the place of the index',
      (path) => linkTo(join(path, 'varve.db')),
      ['link'],
      'varve.db is a symbolic',
    ],
    [
      'a second name of a pack',
      (path) => linkSync(packOf(path, 1), `${path}.pack`),
      ['link'],
      'hard link',
    ],
    ['what everybody can use', (path) => chmodSync(packOf(path, 2), 0o644), ['mode'], 'everybody'],
    [
      'strange files',
      (path) => writeFileSync(join(path, 'notes.txt'), ''),
      ['foreign'],
      'notes.txt does not belong',
    ],
    [
      'strange files among the packs',
      (path) => mkdirSync(join(path, 'packs', 'x')),
      ['foreign'],
      'does not belong',
    ],
    [
      'a pack that is missing',
      (path) => rmSync(packOf(path, 2)),
      ['pack'],
      '00000002.pack is missing',
    ],
    [
      'a pack that was cut short',
      (path) => truncateSync(packOf(path, 2), 10),
      ['pack'],
      'has 10 of the',
    ],
    ['a pack that is newer than the index', newerPack, ['pack'], 'newer than all it knows'],
    ['a missing index', (path) => rmSync(join(path, 'varve.db')), ['index'], 'varve.db is missing'],
    [
      'a damaged index',
      (path) => writeFileSync(join(path, 'varve.db'), 'no index'.repeat(1000)),
      ['index'],
      '',
    ],
    ['an index of something else', otherDatabase, ['index'], 'not the index of a Varve store'],
    ['what was written in the future', future, ['clock'], 'in the future'],
    ['the lock of a process that is gone', deadLock, ['lock'], 'ended without closing'],
  ])('%s', async (_, happen, kinds, message) => {
    const path = await filled();
    happen(path);
    const before = stateOf(path);
    const report = await doctor(path);
    expect(kindsOf(report)).toEqual(kinds);
    expect(report.findings[0]?.message).toContain(message);
    expect(stateOf(path)).toBe(before);
  });

  test('what the group that shares a store cannot use', async () => {
    const path = await filled('group');
    expect((await doctor(path)).findings).toEqual([]);
    chmodSync(packOf(path, 1), 0o600);
    chmodSync(packOf(path, 3), 0o600);
    const [finding, ...others] = (await doctor(path)).findings;
    expect(others).toEqual([]);
    expect(finding).toMatchObject({
      kind: 'mode',
      paths: [packOf(path, 1), packOf(path, 3)],
      harmful: true,
    });
    expect(finding?.message).toContain(
      'is not open to the group that shares the store, and so is 1 other',
    );
  });

  test.skipIf(process.getuid?.() !== 0)('files of other owners', async () => {
    const path = await filled();
    chownSync(packOf(path, 2), 12345, 12345);
    expect((await doctor(path)).findings).toMatchObject([
      { kind: 'owner', paths: [packOf(path, 2)] },
    ]);
  });
});

test('where there is no store, or one of objects, there is nothing to examine', async () => {
  const path = scratchFolder();
  await rejection(doctor(path), 'NOT_FOUND');
  await rejection(doctor(join(path, 'none')), 'NOT_FOUND');
  writeFileSync(join(path, 'file'), '');
  await rejection(doctor(join(path, 'file')), 'INVALID_ARGUMENT');
  await rejection(doctor('memory:'), 'INVALID_ARGUMENT');
  expect(existsSync(join(path, 'varve.db'))).toBe(false);
});

function linkTo(path: string): void {
  const target = join(scratchFolder(), 'elsewhere');
  renameSync(path, target);
  symlinkSync(target, path);
}

function linkPack(path: string): void {
  linkTo(packOf(path, 1));
}

function newerPack(path: string): void {
  copyFileSync(packOf(path, 1), packOf(path, 9));
  chmodSync(packOf(path, 9), 0o600);
}

function otherDatabase(path: string): void {
  const index = readFileSync(join(path, 'varve.db'));
  index.writeUInt32BE(1, 68);
  writeFileSync(join(path, 'varve.db'), index);
}

function future(path: string): void {
  const time = Date.now() / 1000 + 86_400;
  utimesSync(packOf(path, 1), time, time);
}

function deadLock(path: string): void {
  writeFileSync(join(path, 'locks', '11111111-1111-4111-8111-111111111111.lock'), '', {
    mode: 0o600,
  });
}
