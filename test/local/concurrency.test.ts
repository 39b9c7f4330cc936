import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import {
  type Database,
  openSqlite,
  sqliteDriver,
} from '../../src/backends/local/database/sqlite-driver.ts';
import { removeDeadLocks, WriterLock } from '../../src/backends/local/database/writer-lock.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { contentOf, entry, put, remove, succeeded } from '../conformance/builders.ts';
import { times } from '../thorough.ts';
import { CHURNED } from './process/agent.ts';
import { Child } from './process/child.ts';
import { compileAgent } from './process/compiled.ts';
import { keyOf, readNames } from './process/workload.ts';
import {
  expectSound,
  expectSoundNow,
  openStore,
  packFiles,
  rejection,
  scratchFolder,
} from './support.ts';

const Sqlite = sqliteDriver();

const SOAK = Number(process.env['VARVE_SOAK'] ?? 1);

const compiled = { agent: '' };
beforeAll(async () => {
  compiled.agent = await compileAgent();
});

describe('several processes on one store', { timeout: 60_000 * SOAK }, () => {
  test('may create it at the same moment', async () => {
    const path = `${scratchFolder()}/new`;
    const children = [0, 1, 2, 3].map(
      (number) => new Child(compiled.agent, { path, task: 'commit', from: number, to: number + 1 }),
    );
    for (const child of children) await child.succeeds();
    const backend = await openStore(path);
    for (const number of [0, 1, 2, 3])
      expect(await readNames(backend, keyOf(number))).toBeDefined();
    await expectSoundNow(backend);
  });

  test('write, read, collect and audit the same few manifests, and the store stays sound', async () => {
    const path = scratchFolder();
    const small = { path, packBytes: 15_000, blockBytes: 3_000, forMs: times(2000, 4000) * SOAK };
    const children = [
      new Child(compiled.agent, { ...small, task: 'churn', seed: 1 }),
      new Child(compiled.agent, { ...small, task: 'churn', seed: 2 }),
      new Child(compiled.agent, { ...small, task: 'collect', seed: 0 }),
      new Child(compiled.agent, { ...small, task: 'collect', seed: 1 }),
      new Child(compiled.agent, { ...small, task: 'audit' }),
    ];
    for (const child of children) await child.succeeds();
    expect(children[0]?.last('operations', 0)).toBeGreaterThan(10);
    expect(children[2]?.last('runs', 0)).toBeGreaterThan(3);
    expect(children[4]?.last('audits', 0)).toBeGreaterThan(1);
    await expectSound(path);
    const backend = await openStore(path);
    for (let number = 0; number < CHURNED; number++) await readNames(backend, keyOf(number));
  });
});

describe('a pack', () => {
  test('whose owner was killed is taken over', async () => {
    const path = scratchFolder();
    const child = new Child(compiled.agent, { path, task: 'idle', to: 5 });
    await child.says('ack');
    await child.kill();
    const backend = await openStore(path);
    await backend.commit([put('a', [entry('1', 'behind what the dead left')])]);
    expect(packFiles(path)).toHaveLength(1);
    expect(await contentOf(backend, 'a')).toEqual([
      { body: '1', segments: ['behind what the dead left'] },
    ]);
    expect(await readNames(backend, keyOf(4))).toBeDefined();
    await expectSoundNow(backend);
  });

  test('whose owner lives is not', async () => {
    const path = scratchFolder();
    const child = new Child(compiled.agent, { path, task: 'idle', to: 5 });
    await child.says('ack');
    const backend = await openStore(path);
    await backend.commit([put('a', [entry('1', 'in a pack of its own')])]);
    await backend.collect({ graceMs: 0, full: true });
    expect(packFiles(path)).toHaveLength(2);
    const index = openSqlite(`${path}/varve.db`, { readonly: true });
    expect(
      index.prepare('SELECT count(*) FROM pack WHERE sealed = 0 AND id = 1').pluck().get(),
    ).toBe(1);
    index.close();
    await child.kill();
    await backend.collect({ graceMs: 0, full: true });
    await expectSoundNow(backend);
  });

  test('is not given away by a sweep of locks that meets an owner just being born', async () => {
    const path = scratchFolder();
    const realExec = Sqlite.prototype.exec;
    // Another process looks for dead locks between the creation of this one's file and its locking.
    let isSwept = false;
    Sqlite.prototype.exec = function (this: Database, sql: string) {
      if (sql === 'BEGIN EXCLUSIVE' && !isSwept) {
        isSwept = true;
        removeDeadLocks(path);
      }
      return realExec.call(this, sql);
    };
    const lock = new WriterLock(path);
    Sqlite.prototype.exec = realExec;
    try {
      expect(isSwept).toBe(true);
      const { isWriterAlive } = await import('../../src/backends/local/database/writer-lock.ts');
      expect(isWriterAlive(path, lock.name)).toBe(true);
    } finally {
      lock.release();
    }
  });
});

describe('one process', () => {
  test('commits while it collects and while others hold the lock', async () => {
    const path = scratchFolder();
    const backend = await openStore(path, { packBytes: 4000 });
    const other = openSqlite(`${path}/varve.db`);
    const wanted = new Map<string, unknown>();
    for (let round = 0; round < 12; round++) {
      await backend.commit([
        put(`before ${round}`, [entry('b', `before ${round}`)]),
        put('gone', [entry('g', `gone ${round}`)]),
      ]);
      await backend.commit([remove('gone')]);
      // Everything below waits for the lock, and goes on in whatever order it gets it.
      other.exec('BEGIN IMMEDIATE');
      const id = `during ${round}`;
      const works = [
        backend.collect({ graceMs: 0, full: true }),
        backend.commit([put(id, [entry('d', id, `before ${round}`)])]),
        backend.collect({ graceMs: 0, full: true }),
      ];
      await sleep(5);
      other.exec('COMMIT');
      await Promise.all(works);
      wanted.set(id, [{ body: 'd', segments: [id, `before ${round}`] }]);
    }
    other.close();
    for (const [id, content] of wanted) expect(await contentOf(backend, id)).toEqual(content);
    await expectSoundNow(backend);
    await backend.close();
    await expectSound(path);
  });

  test('drops commits whose signals fire while another process holds the lock, and of no others', async () => {
    const path = scratchFolder();
    const backend = await openStore(path);
    await backend.commit([put('first', [entry('1', 'first')])]);
    const other = openSqlite(`${path}/varve.db`);
    for (const stays of [true, false]) {
      other.exec('BEGIN IMMEDIATE');
      const leaving = new AbortController();
      const { signal } = leaving;
      const left = backend.commit([put(`left, ${stays}`, [entry('l', 'left')])], { signal });
      const kept = stays ? backend.commit([put('kept', [entry('k', 'kept')])]) : undefined;
      await sleep(5);
      leaving.abort();
      // By the lock's own time it would wait for a minute.
      expect(await rejection(left, 'ABORTED')).toBeDefined();
      other.exec('COMMIT');
      await kept;
      expect(await contentOf(backend, `left, ${stays}`)).toBeUndefined();
    }
    expect(await contentOf(backend, 'kept')).toEqual([{ body: 'k', segments: ['kept'] }]);
    other.close();
    await expectSoundNow(backend);
    await backend.close();
    await expectSound(path);
  });

  test('does not seal the pack under a commit that waits for the lock', async () => {
    const path = scratchFolder();
    const backend = await openStore(path);
    await backend.commit([put('a', [entry('1', 'at first')])]);
    const realExec = Sqlite.prototype.exec;
    let refusals = 8;
    Sqlite.prototype.exec = function (this: Database, sql: string) {
      if (sql === 'BEGIN IMMEDIATE' && refusals > 0) {
        refusals--;
        throw new Sqlite.SqliteError('database is locked', 'SQLITE_BUSY');
      }
      return realExec.call(this, sql);
    };
    // So that the commit sleeps long after its last refusal, while the collection takes its steps.
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.999);
    try {
      const work = backend.commit([put('b', [entry('1', 'while waiting')])]);
      while (refusals > 0) await sleep(1);
      await backend.collect({ graceMs: 0, full: true });
      expect(succeeded((await work)[0]).status).toBe('created');
    } finally {
      random.mockRestore();
      Sqlite.prototype.exec = realExec;
    }
    expect(await contentOf(backend, 'b')).toEqual([{ body: '1', segments: ['while waiting'] }]);
    await expectSoundNow(backend);
  });

  test('that closes the store ends a collection or an audit under way with a clear error', async () => {
    const path = scratchFolder();
    const backend = await LocalBackend.open(path, { packBytes: 4000 });
    for (let number = 0; number < 60; number++)
      await backend.commit([put(`c ${number}`, [entry('b', `s ${number}`)])]);
    for (let number = 0; number < 60; number += 2) await backend.commit([remove(`c ${number}`)]);
    const outcome = (work: Promise<unknown>) =>
      work.then(
        () => 'completed',
        (error: { code?: string }) => error.code,
      );
    const works = [
      outcome(backend.collect({ graceMs: 0, full: true })),
      outcome(backend.audit().next()),
    ];
    await backend.close();
    for (const each of await Promise.all(works)) expect(['completed', 'CLOSED']).toContain(each);
    await rejection(backend.collect(), 'CLOSED');
    await expectSound(path);
  });

  test('opens one store twice', async () => {
    const path = scratchFolder();
    const [first, second] = [await openStore(path), await openStore(path)];
    const works = Array.from({ length: 40 }, (_, number) =>
      (number % 2 === 0 ? first : second).commit([
        put(`c ${number}`, [entry('b', `s ${number % 10}`)]),
      ]),
    );
    for (const outcomes of await Promise.all(works))
      for (const outcome of outcomes) succeeded(outcome);
    await first.collect({ graceMs: 0, full: true });
    expect(await contentOf(second, 'c 7')).toEqual([{ body: 'b', segments: ['s 7'] }]);
    await expectSoundNow(second);
  });
});
