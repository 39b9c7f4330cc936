import type * as fs from 'node:fs';
import { cpSync, statSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { ManifestWrite } from '../../src/backends/contract/manifests.ts';
import {
  type Database,
  openSqlite,
  type Statement,
  sqliteDriver,
} from '../../src/backends/local/database/sqlite-driver.ts';
import type { LocalBackend } from '../../src/backends/local/local-backend.ts';
import type { ErrorCode } from '../../src/core/errors.ts';
import { append, contentOf, entry, put, remove, succeeded } from '../conformance/builders.ts';
import { times } from '../thorough.ts';
import { Random } from './process/random.ts';
import { expectSound, expectSoundNow, openStore, rejection, scratchFolder } from './support.ts';

/**
 * The real file system and the real SQLite, except that one chosen call fails. Points at which a
 * call may fail are numbered as they are passed.
 */
const faults = vi.hoisted(() => {
  const plan = {
    /** Which point fails, counted from 1; 0: none. */
    failing: 0,
    passed: 0,
    name: '',
    only: undefined as string | undefined,
    error: (_name: string): Error => new Error('not planned'),
  };
  const point = (name: string): void => {
    if (plan.only !== undefined && plan.only !== name) return;
    if (++plan.passed !== plan.failing) return;
    plan.name = name;
    throw plan.error(name);
  };
  return { plan, point };
});

vi.mock('node:fs', async (importOriginal) => {
  const real = await importOriginal<typeof fs>();
  return {
    ...real,
    writeSync: (fd: number, buffer: Buffer, offset: number, length: number, position: number) => {
      // A full disk often takes a part before it refuses the rest.
      const written = real.writeSync(fd, buffer, offset, Math.ceil(length / 2), position);
      faults.point('write');
      return written;
    },
    fdatasyncSync: (fd: number) => {
      faults.point('fdatasync');
      real.fdatasyncSync(fd);
    },
    fsyncSync: (fd: number) => {
      faults.point('fsync');
      real.fsyncSync(fd);
    },
    openSync: (path: string, flags: string | number, mode?: number) => {
      faults.point('open');
      return real.openSync(path, flags, mode);
    },
  };
});

const Sqlite = sqliteDriver();
const statements = Object.getPrototypeOf(openSqlite(':memory:').prepare('SELECT 1')) as Statement;
const realRun = statements.run;
const realExec = Sqlite.prototype.exec;

beforeAll(() => {
  statements.run = function (this: Statement, ...parameters: unknown[]) {
    faults.point('statement');
    return realRun.apply(this, parameters);
  };
  Sqlite.prototype.exec = function (this: Database, sql: string) {
    if (sql === 'COMMIT' && isWriting.has(this)) faults.point('commit');
    if (sql === 'BEGIN IMMEDIATE') isWriting.add(this);
    if (sql === 'COMMIT' || sql === 'ROLLBACK') isWriting.delete(this);
    return realExec.call(this, sql);
  };
});
const isWriting = new WeakSet<Database>();
afterAll(() => {
  statements.run = realRun;
  Sqlite.prototype.exec = realExec;
});
afterEach(() => {
  faults.plan.failing = 0;
});

function failAt(point: number, error: (name: string) => Error, only?: string): void {
  Object.assign(faults.plan, { failing: point, passed: 0, name: '', only, error });
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

const isSql = (name: string) => name === 'statement' || name === 'commit';

const fullDisk = (name: string): Error =>
  isSql(name)
    ? new Sqlite.SqliteError('database or disk is full', 'SQLITE_FULL')
    : systemError('ENOSPC');
const badDisk = (name: string): Error =>
  isSql(name) ? new Sqlite.SqliteError('disk I/O error', 'SQLITE_IOERR_WRITE') : systemError('EIO');

type Contents = Record<string, unknown>;

async function contentsOf(backend: LocalBackend): Promise<Contents> {
  const contents: Contents = {};
  for await (const { key, revision, application, model } of backend.list('conversation')) {
    contents[key.id] = { revision, application, model, entries: await contentOf(backend, key) };
  }
  return contents;
}

/** A batch that does a bit of everything, with content of its own. */
function batch(random: Random, round: number): ManifestWrite[] {
  const text = () => random.text(10 + random.below(300));
  const fields = { application: `application ${round}`, model: `model ${round}` };
  return [
    put(`new ${round}`, [entry(`body ${round}`, text(), text()), entry(text(), text())], {
      fields,
    }),
    put('replaced', [entry(`body ${round}`, text(), 'shared')], { ifExists: 'replace', fields }),
    append('grown', [entry(`more ${round}`, text(), `twice ${round % 3}`)]),
    remove(`new ${round - 2}`),
    remove(`other ${round - 3}`),
    put(`other ${round}`, [entry('x', 'shared', `twice ${round % 3}`)]),
  ];
}

const SMALL = { packBytes: 6_000, segmentBlockBytes: 1_500, bodyBlockBytes: 1_000 };

async function prepared(path: string): Promise<LocalBackend> {
  const backend = await openStore(path, SMALL);
  for (const outcome of await backend.commit([
    put('kept', [entry('kept body', 'kept segment', 'shared')]),
    put('replaced', [entry('at first', 'shared')]),
    put('grown', [entry('at first', 'first')]),
  ])) {
    succeeded(outcome);
  }
  return backend;
}

/** A store with several packs, and garbage in them. */
async function usedStore(): Promise<string> {
  const path = scratchFolder();
  const backend = await prepared(path);
  const random = new Random(7);
  for (let round = 0; round < 5; round++) await backend.commit(batch(random, round));
  await backend.close();
  return path;
}

describe.each([
  ['a full disk', fullDisk, 'NO_SPACE'],
  ['a bad disk', badDisk, 'IO'],
] satisfies [string, (name: string) => Error, ErrorCode][])(
  '%s, met at any step',
  (_, error, code) => {
    /**
     * Lets `work` fail at one point after the other, each time on a copy of one store, until it
     * does not fail.
     */
    async function failEverywhere(
      stride: number,
      work: (backend: LocalBackend) => Promise<unknown>,
      expectAfter: (backend: LocalBackend, before: Contents, point: number) => Promise<void>,
    ): Promise<Set<string>> {
      const original = await usedStore();
      const met = new Set<string>();
      for (let point = 1; ; point += stride) {
        const path = scratchFolder();
        cpSync(original, path, { recursive: true });
        const backend = await openStore(path, SMALL);
        const before = await contentsOf(backend);
        failAt(point, error);
        const failure = await work(backend).then(
          () => undefined,
          (cause: unknown) => cause,
        );
        const { name } = faults.plan;
        faults.plan.failing = 0;
        if (name === '') {
          expect(failure).toBeUndefined();
          await backend.close();
          return met;
        }
        met.add(name);
        expect(failure, `after ${name} failed at point ${point}`).toMatchObject({
          name: 'VarveError',
          code,
        });
        expect(await contentsOf(backend), `after ${name} failed at point ${point}`).toEqual(before);
        await expectAfter(backend, before, point);
        const after = await contentsOf(backend);
        await backend.close();
        if ((point / stride) % 3 >= 1) continue;
        const reopened = await openStore(path);
        expect(await contentsOf(reopened)).toEqual(after);
        await expectSoundNow(reopened);
        await reopened.close();
      }
    }

    test('of a commit, fails it with nothing half-stored, and the next commit works', async () => {
      const met = await failEverywhere(
        code === 'IO' ? 1 : times(8, 4),
        (backend) => backend.commit(batch(new Random(1), 100)),
        async (backend, before, point) => {
          // Other content now gets the ids of what was rolled back: caches that remember it would
          // show.
          for (const outcome of await backend.commit(batch(new Random(1000 + point), 200)))
            succeeded(outcome);
          for (const outcome of await backend.commit(batch(new Random(1), 100))) succeeded(outcome);
          const after = await contentsOf(backend);
          expect(Object.keys(after).sort()).toEqual(
            [...Object.keys(before), 'new 100', 'new 200', 'other 100', 'other 200'].sort(),
          );
        },
      );
      expect(met).toContain('statement');
      if (code === 'IO')
        expect([...met].sort()).toEqual([
          'commit',
          'fdatasync',
          'fsync',
          'open',
          'statement',
          'write',
        ]);
    });

    test('of a collection, changes nothing that can be read, and the next collection completes it', async () => {
      const met = await failEverywhere(
        code === 'IO' ? times(38, 19) : times(58, 29),
        (backend) => backend.collect({ graceMs: 0, full: true }),
        async (backend, before) => {
          await backend.collect({ graceMs: 0, full: true });
          expect((await backend.usage()).garbageSegments).toBe(0);
          expect(await contentsOf(backend)).toEqual(before);
        },
      );
      expect(met).toContain('statement');
    });
  },
);

test('a descriptor whose flush failed is never written to again', async () => {
  const path = scratchFolder();
  const backend = await prepared(path);
  failAt(1, badDisk, 'fdatasync');
  await rejection(backend.commit([put('a', [entry('1', 'lost in the flush')])]), 'IO');
  faults.plan.failing = 0;
  const index = openSqlite(`${path}/varve.db`, { readonly: true });
  const broken = index.prepare('SELECT id, size FROM pack WHERE sealed = 0').get() as {
    id: number;
    size: number;
  };
  await backend.commit([put('b', [entry('1', 'stored elsewhere')])]);
  const packs = index.prepare('SELECT id, sealed, size FROM pack ORDER BY id').all();
  index.close();
  expect(packs).toMatchObject([
    { id: broken.id, sealed: 1 },
    { id: broken.id + 1, sealed: 0 },
  ]);
  expect(statSync(`${path}/packs/00000001.pack`).size).toBeGreaterThan(broken.size);
  expect(await contentOf(backend, 'a')).toBeUndefined();
  expect(await contentOf(backend, 'b')).toEqual([{ body: '1', segments: ['stored elsewhere'] }]);
  expect(await contentOf(backend, 'kept')).toEqual([
    { body: 'kept body', segments: ['kept segment', 'shared'] },
  ]);
});

describe('a flush of the index that fails', () => {
  const flushFailed = () => new Sqlite.SqliteError('disk I/O error', 'SQLITE_IOERR_FSYNC');

  test('is an unknown outcome, and what is written next does not touch what may have been stored', async () => {
    const path = scratchFolder();
    const backend = await prepared(path);
    failAt(1, flushFailed, 'commit');
    await rejection(backend.commit([put('a', [entry('1', 'perhaps')])]), 'OUTCOME_UNKNOWN');
    faults.plan.failing = 0;
    await backend.commit([put('b', [entry('1', 'surely')])]);
    expect(await contentOf(backend, 'b')).toEqual([{ body: '1', segments: ['surely'] }]);
    await backend.close();
    await expectSound(path);
  });

  test.each([
    [
      'a commit',
      (backend: LocalBackend) => backend.commit([put('a', [entry('1', 'it happened')])]),
    ],
    ['a collection', (backend: LocalBackend) => backend.collect({ graceMs: 0, full: true })],
  ])('but was made after all in %s loses nothing', async (_, work) => {
    const path = scratchFolder();
    const backend = await prepared(path);
    for (let point = 1; ; point++) {
      await backend.commit([
        put(`gone ${point}`, [entry('1', `gone ${point}`)]),
        remove(`gone ${point}`),
      ]);
      const spy = vi.spyOn(Sqlite.prototype, 'exec');
      let commits = 0;
      const before = Sqlite.prototype.exec;
      spy.mockRestore();
      Sqlite.prototype.exec = function (this: Database, sql: string) {
        const writes = sql === 'COMMIT' && isWriting.has(this);
        const result = before.call(this, sql);
        if (writes && ++commits === point) throw flushFailed();
        return result;
      };
      const failure = await work(backend).then(
        () => undefined,
        (error: unknown) => error,
      );
      Sqlite.prototype.exec = before;
      for (const id of ['b', 'c']) {
        await backend.commit([
          put(`${id} ${point}`, [entry('1', `${id} ${point}`, 'kept segment')]),
        ]);
      }
      if (commits < point) break;
      expect(failure).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
      await expectSoundNow(backend);
    }
    expect(await contentOf(backend, 'kept')).toEqual([
      { body: 'kept body', segments: ['kept segment', 'shared'] },
    ]);
    await backend.close();
    await expectSound(path);
  });
});
