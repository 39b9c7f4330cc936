import type * as fs from 'node:fs';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Locator, PutWrite } from '../../src/backends/contract/manifests.ts';
import {
  type Database,
  openSqlite,
  type Statement,
  sqliteDriver,
} from '../../src/backends/local/database/sqlite-driver.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { VarveError } from '../../src/core/errors.ts';
import { commit, conversation, entry, hold, put, remove } from '../conformance/builders.ts';
import { expectSound, scratchFolder } from './support.ts';

/**
 * Every call of the file system and of SQLite is a point at which it may fail; points are numbered
 * as they are passed.
 */
const faults = vi.hoisted(() => {
  const plan = {
    failing: 0,
    passed: 0,
    name: '',
    error: (_name: string): Error => new Error('not planned'),
  };
  const point = (name: string): void => {
    if (++plan.passed !== plan.failing) return;
    plan.name = name;
    throw plan.error(name);
  };
  return { plan, point };
});

vi.mock('node:fs', async (importOriginal) => {
  const real = await importOriginal<typeof fs>();
  const failing = Object.entries(real).map(([name, value]) => {
    // What is closed or removed is so whatever the call says; `exists` throws nothing.
    if (!name.endsWith('Sync') || /^(close|exists)/.test(name)) return [name, value];
    const call = value as (...parameters: unknown[]) => unknown;
    return [
      name,
      (...parameters: unknown[]) => {
        faults.point(`fs.${name}`);
        return call(...parameters);
      },
    ];
  });
  return { ...real, ...Object.fromEntries(failing) };
});

const Sqlite = sqliteDriver();
const statements = Object.getPrototypeOf(openSqlite(':memory:').prepare('SELECT 1')) as Statement;
const real = { run: statements.run, get: statements.get, all: statements.all };
const { exec } = Sqlite.prototype;

beforeAll(() => {
  for (const name of ['run', 'get', 'all'] as const) {
    statements[name] = function (this: Statement, ...parameters: unknown[]) {
      faults.point(`sql.${name}`);
      return real[name].apply(this, parameters) as never;
    };
  }
  Sqlite.prototype.exec = function (this: Database, sql: string) {
    // SQLite rolls back what it can, and that never fails.
    if (!/^(ROLLBACK|PRAGMA busy_timeout)/.test(sql)) faults.point(`sql.${sql.slice(0, 20)}`);
    return exec.call(this, sql);
  };
});
afterAll(() => {
  Object.assign(statements, real);
  Sqlite.prototype.exec = exec;
});
afterEach(() => {
  faults.plan.failing = 0;
});

type Failure = (name: string) => Error;

const systemError = (code: string) => Object.assign(new Error(`${code}: injected`), { code });
/** A bad disk, a full one, too many open files: one after the other, by the number of the point. */
const FAILURES: readonly (readonly [code: string, sql: string])[] = [
  ['EIO', 'SQLITE_IOERR_READ'],
  ['ENOSPC', 'SQLITE_FULL'],
  ['EMFILE', 'SQLITE_CANTOPEN'],
];

function failAt(point: number): void {
  const [code, sql] = FAILURES[point % FAILURES.length] as (typeof FAILURES)[number];
  const error: Failure = (name) =>
    name.startsWith('sql') ? new Sqlite.SqliteError('injected', sql) : systemError(code);
  Object.assign(faults.plan, { failing: point, passed: 0, name: '', error });
}

const upload: Omit<PutWrite, 'entries' | 'fields'> = {
  operation: 'put',
  key: conversation('stream'),
  ifExists: 'error',
};

async function* entries() {
  yield entry('streamed', 'streamed text');
}

async function drained(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items);
}

async function locatorsOf(backend: LocalBackend): Promise<readonly Locator[]> {
  const [manifest] = await backend.read([conversation('c 1')]);
  return manifest?.entries[0]?.segments as unknown as readonly Locator[];
}

type Work = (backend: LocalBackend, scratch: string) => Promise<unknown>;

const OPERATIONS: Record<string, Work> = {
  commit: (backend) =>
    backend.commit([put('new', [entry('1', 'new text')]), remove('c 2'), hold('c 3', true)]),
  publish: (backend) => backend.publish(upload, entries(), () => ({ logicalBytes: 1 })),
  read: (backend) => backend.read([conversation('c 1'), conversation('c 3')]),
  heads: (backend) => backend.heads([conversation('c 1')]),
  list: (backend) => drained(backend.list('conversation')),
  fetch: async (backend) => backend.fetch(await locatorsOf(backend)),
  describe: async (backend) => backend.describe(await locatorsOf(backend)),
  addresses: async (backend) => backend.addresses(await locatorsOf(backend)),
  find: (backend) => backend.find([entry('', 'text of c 1').segments[0]?.address as never]),
  usage: (backend) => backend.usage(),
  survey: (backend) => drained(backend.survey()),
  audit: (backend) => drained(backend.audit()),
  repair: (backend) => drained(backend.audit({ repair: true })),
  plan: (backend) => backend.collect({ graceMs: 0, dryRun: true }),
  collect: (backend) => backend.collect({ graceMs: 0, full: true }),
  erase: (backend) => backend.collect({ erase: true }),
  backup: (backend, scratch) => backend.backup(join(scratch, 'backup')),
  'add a report': (backend) => backend.reports.add({ time: 1, body: '{}' }),
  'list reports': (backend) => backend.reports.list(),
  lease: async (backend) => {
    const lease = await backend.lease('gc', 1000);
    await lease?.renew(1000);
    await lease?.release();
  },
};

async function filledStore(): Promise<string> {
  const path = scratchFolder();
  const backend = await LocalBackend.open(path);
  for (let number = 0; number < 5; number++) {
    await commit(backend, put(`c ${number}`, [entry(`body ${number}`, `text of c ${number}`)]));
  }
  await commit(backend, remove('c 4'));
  await backend.close();
  return path;
}

/** Of many points some: all of the first, and then further and further apart. */
function next(point: number): number {
  return point + Math.max(1, Math.floor(point / 12));
}

describe('a call of the file system or of SQLite that fails', () => {
  test.each(Object.entries(OPERATIONS))(
    'in %s, is an error of Varve, and closing is not',
    async (name, work) => {
      const original = await filledStore();
      for (let point = 1; ; point = next(point)) {
        const scratch = scratchFolder();
        const path = join(scratch, 'store');
        cpSync(original, path, { recursive: true });
        const backend = await LocalBackend.open(path);
        failAt(point);
        const failure = await work(backend, scratch).then(
          () => undefined,
          (cause: unknown) => cause,
        );
        const where = faults.plan.name;
        Object.assign(faults.plan, { failing: 0, name: '' });
        const told = `${name}, point ${point}: ${where}`;
        if (failure !== undefined) {
          expect(failure, told).toBeInstanceOf(VarveError);
          expect((failure as VarveError).code, told).not.toBe('INTERNAL');
        }
        await backend.close();
        if (where === '') return;
      }
    },
  );

  test('in opening a store is an error of Varve, and in closing one is not', async () => {
    const original = await filledStore();
    for (let point = 1; ; point = next(point)) {
      const path = join(scratchFolder(), 'store');
      cpSync(original, path, { recursive: true });
      failAt(point);
      const opened = await LocalBackend.open(path).catch((cause: unknown) => cause);
      const where = faults.plan.name;
      faults.plan.failing = 0;
      if (opened instanceof LocalBackend) await opened.close();
      else expect(opened, `opening, point ${point}: ${where}`).toBeInstanceOf(VarveError);
      if (where === '') break;
    }
    for (let point = 1; ; point = next(point)) {
      const path = join(scratchFolder(), 'store');
      cpSync(original, path, { recursive: true });
      const backend = await LocalBackend.open(path);
      await commit(backend, put('new', [entry('1', 'new text')]));
      failAt(point);
      await backend.close();
      const where = faults.plan.name;
      await backend.close();
      faults.plan.failing = 0;
      await expectSound(path);
      if (where === '') return;
    }
  });
});
