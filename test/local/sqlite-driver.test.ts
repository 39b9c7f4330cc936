import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import {
  chooseDriver,
  type Database,
  openSqlite,
  type Runtime,
} from '../../src/backends/local/database/sqlite-driver.ts';
import { isWriterAlive } from '../../src/backends/local/database/writer-lock.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { entry, put } from '../conformance/builders.ts';
import { compile } from './process/compiled.ts';
import { scratchFolder } from './support.ts';

const THIRTEEN = { name: 'better-sqlite3', version: '13.2.0' };
const TWELVE = { name: 'better-sqlite3', version: '12.11.1' };
const SECOND = { name: 'better-sqlite3-node20', version: '12.11.1' };

const NODE_20: Runtime = { node: '20.12.0', napi: '9' };
const NODE_22_OLD: Runtime = { node: '22.13.0', napi: '9' };
const NODE_22: Runtime = { node: '22.14.0', napi: '10' };
const NODE_24: Runtime = { node: '24.21.0', napi: '10' };

describe('the driver', () => {
  test.each([
    ['13 on Node 24', NODE_24, [THIRTEEN], 'better-sqlite3'],
    ['13 on Node 24 where both are installed', NODE_24, [THIRTEEN, SECOND], 'better-sqlite3'],
    ['13 on Node 22', NODE_22, [THIRTEEN], 'better-sqlite3'],
    ['12 on Node 22, where a lock file kept it', NODE_22, [TWELVE], 'better-sqlite3'],
    [
      '12 on Node 22 that lacks Node-API 10',
      NODE_22_OLD,
      [THIRTEEN, SECOND],
      'better-sqlite3-node20',
    ],
    ['12 on Node 20', NODE_20, [TWELVE], 'better-sqlite3'],
    ['12 under its second name on Node 20', NODE_20, [THIRTEEN, SECOND], 'better-sqlite3-node20'],
  ])('is %s', (_, runtime, installed, name) => {
    expect(chooseDriver(installed, runtime)).toBe(name);
  });

  test.each([
    [
      NODE_20,
      [THIRTEEN],
      'better-sqlite3 13.2.0 needs Node 22.14 or newer. Install Node 22.14 or newer, or run: ' +
        'npm install better-sqlite3-node20@npm:better-sqlite3@12.11.1',
    ],
    [
      NODE_24,
      [TWELVE, SECOND],
      'better-sqlite3 12.11.1 does not run on Node 24 and newer; better-sqlite3-node20 ' +
        '12.11.1 does not run on ' +
        'Node 24 and newer. Run: npm install better-sqlite3@13.2.0',
    ],
    [NODE_24, [], 'better-sqlite3 is not installed. Run: npm install better-sqlite3@13.2.0'],
  ])(
    'is missing on %o with %o, and the error says what to install',
    (runtime, installed, message) => {
      const choose = () => chooseDriver(installed, runtime);
      expect(choose).toThrow(
        expect.objectContaining({ code: 'IO', message: expect.stringContaining(message) }),
      );
    },
  );
});

describe('a process', () => {
  const built = join(inject('runFolder'), 'store');
  beforeAll(() => compile({ store: 'src/store.ts' }, built));

  /**
   * Opens a store in a process that has `driver` as its `better-sqlite3`; returns what the error
   * says.
   */
  function openWith(driver: Readonly<Record<string, string>>): string {
    const project = scratchFolder();
    cpSync(built, project, { recursive: true });
    mkdirSync(join(project, 'node_modules/better-sqlite3'), { recursive: true });
    for (const [file, text] of Object.entries(driver)) {
      writeFileSync(join(project, 'node_modules/better-sqlite3', file), text);
    }
    const installed = join(import.meta.dirname, '../../node_modules');
    for (const name of readdirSync(installed)) {
      if (!name.startsWith('better-sqlite3'))
        symlinkSync(join(installed, name), join(project, 'node_modules', name));
    }
    writeFileSync(
      join(project, 'program.js'),
      `import { openStore } from './store.js';
      await openStore('./store').catch(({ name, code, message }) => console.log(name, code, message));`,
    );
    const run = spawnSync(process.execPath, ['program.js'], { cwd: project, encoding: 'utf8' });
    expect(run).toMatchObject({ status: 0, stderr: '' });
    return run.stdout;
  }

  // Node 22 runs both.
  test.skipIf(/^v2[23]/.test(process.version))('never loads a driver that would crash it', () => {
    const wrong = process.versions.napi === '9' ? '13.2.0' : '12.11.1';
    const crashing = { 'package.json': `{"version":"${wrong}"}`, 'index.js': 'process.abort();' };
    expect(openWith(crashing)).toMatch(
      /^VarveError IO no SQLite driver for Node \d+\.\d+\.\d+: better-sqlite3 1.* run: npm install/i,
    );
  });

  test('whose driver was not built gets the command that builds it', () => {
    const version = process.versions.napi === '9' ? '12.11.1' : '13.2.0';
    const index =
      "module.exports = class { constructor() { throw new Error('Could not locate the " +
      "bindings file'); } };";
    expect(openWith({ 'package.json': `{"version":"${version}"}`, 'index.js': index })).toBe(
      'VarveError IO the SQLite driver better-sqlite3 cannot be loaded (Could not locate ' +
        'the bindings file). ' +
        'Let npm run its install script: npm rebuild better-sqlite3\n',
    );
  });
});

test('connections and statements are collected, those of a closed store and those made in passing', async () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;

  const made = new Map<string, number>();
  const collected = new Map<string, number>();
  const count = (counts: Map<string, number>, kind: string) =>
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const registry = new FinalizationRegistry<string>((kind) => count(collected, kind));
  const seen = new WeakSet<object>();
  const watch = (kind: string, native: object) => {
    if (seen.has(native)) return;
    seen.add(native);
    count(made, kind);
    registry.register(native, kind);
  };

  const connections: Database = Object.getPrototypeOf(openSqlite(':memory:').close());
  const { exec, prepare } = connections;
  connections.exec = function (this: Database, sql: string) {
    watch('connection', this);
    return exec.call(this, sql);
  };
  connections.prepare = function (this: Database, sql: string) {
    const statement = prepare.call(this, sql);
    watch('statement', statement);
    return statement;
  } as typeof prepare;
  try {
    for (let round = 0; round < 3; round++) await useStore(scratchFolder());
  } finally {
    Object.assign(connections, { exec, prepare });
  }
  expect(made.get('connection')).toBeGreaterThanOrEqual(9);
  expect(made.get('statement')).toBeGreaterThan(30);

  // Finalizers run in turns of their own.
  const sum = (counts: Map<string, number>) =>
    [...counts.values()].reduce((total, each) => total + each, 0);
  for (let round = 0; round < 20 && sum(collected) < sum(made); round++) {
    collectGarbage();
    await nextTurn();
  }
  expect(collected).toEqual(made);
});

/**
 * Writes, checks a lock, audits, closes and reads again: every way in which the backend connects.
 */
async function useStore(path: string): Promise<void> {
  const backend = await LocalBackend.open(path);
  await backend.commit([put('a', [entry('1', 'stored')])]);
  const [lock = ''] = readdirSync(join(path, 'locks'));
  expect(isWriterAlive(path, lock.replace('.lock', ''))).toBe(true);
  for await (const _ of backend.audit({}));
  await backend.close();
  const reader = await LocalBackend.open(path, { readOnly: true });
  await reader.close();
}
