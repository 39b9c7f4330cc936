import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { doctor } from '../../src/recovery.ts';
import { openStore as openVarve } from '../../src/store.ts';
import { auditOf, commit, contentOf, entry, put, remove } from '../conformance/builders.ts';
import { Child } from './process/child.ts';
import { compileAgent } from './process/compiled.ts';
import { Random } from './process/random.ts';
import { expectSound, openStore, rejection, scratchFolder } from './support.ts';

/** Media of their own are made with mount(8), which takes root (or a container that allows it). */
function whyNoMounts(): string | undefined {
  if (process.platform !== 'linux') return `no tmpfs on ${process.platform}`;
  const target = `/tmp/varve-mount-${process.pid}`;
  mkdirSync(target, { recursive: true });
  const { status, stderr, error } = spawnSync('mount', [
    '-t',
    'tmpfs',
    '-o',
    'size=1m',
    'tmpfs',
    target,
  ]);
  if (status === 0) spawnSync('umount', [target]);
  rmSync(target, { recursive: true });
  return status === 0 ? undefined : `mount: ${error?.message ?? stderr.toString().trim()}`;
}

const obstacle = whyNoMounts();
if (obstacle !== undefined)
  console.warn(`SKIPPED: full-disk and read-only-medium tests, without a medium: ${obstacle}`);

function run(command: string, ...parameters: string[]): void {
  const { status, stderr } = spawnSync(command, parameters);
  if (status !== 0) throw new Error(`${command} ${parameters.join(' ')}: ${stderr.toString()}`);
}

/** A medium of that many KiB, gone when the test ends. */
function mounted(kib: number): string {
  const path = scratchFolder();
  run('mount', '-t', 'tmpfs', '-o', `size=${kib}k`, 'tmpfs', path);
  onTestFinished(() => run('umount', '-l', path));
  return path;
}

function remount(path: string, how: 'ro' | 'rw'): void {
  run('mount', '-o', `remount,${how}`, path);
}

const compiled = { agent: '' };
beforeAll(async () => {
  compiled.agent = await compileAgent();
});

describe.skipIf(obstacle !== undefined)('a full disk', () => {
  test.each([0, 1, 2, 3, 4])(
    'fails a commit with NO_SPACE, keeps the rest readable, and recovers (%i)',
    async (seed) => {
      const medium = mounted(3000);
      const path = join(medium, 'store');
      const ballast = join(medium, 'ballast');
      const backend = await openStore(path);
      const random = new Random(seed);
      writeFileSync(ballast, Buffer.alloc(150_000 + random.below(200_000)));
      const size = 20_000 + random.below(60_000);
      const stored = new Map<string, string>();
      const write = (id: string, text: string) =>
        put(id, [entry(`body of ${id}`, text), entry('second', `${id} only`)]);
      let refused = '';
      for (let number = 0; refused === ''; number++) {
        const id = `c ${number}`;
        const text = random.bytes(size).toString('latin1');
        const outcomes = await backend.commit([write(id, text)]).catch((error: unknown) => error);
        if (Array.isArray(outcomes)) stored.set(id, text);
        else {
          expect(outcomes).toMatchObject({ name: 'VarveError', code: 'NO_SPACE' });
          refused = id;
        }
      }
      expect(stored.size).toBeGreaterThan(5);
      const expectWhole = async (reader: LocalBackend) => {
        expect(await contentOf(reader, refused)).toBeUndefined();
        for (const [id, text] of stored) {
          const [first] = (await contentOf(reader, id)) ?? [];
          expect(first).toEqual({
            body: `body of ${id}`,
            segments: [Buffer.from(text).toString('latin1')],
          });
        }
        expect((await auditOf(reader)).findings).toEqual([]);
      };
      await expectWhole(backend);
      await rejection(
        backend.commit([write(refused, random.bytes(size).toString('latin1'))]),
        'NO_SPACE',
      );
      // Another process can read a full store, too.
      const reader = await openStore(path, { readOnly: true });
      await expectWhole(reader);
      await reader.close();
      rmSync(ballast);
      await commit(backend, write('after', 'there is room again'));
      expect(await contentOf(backend, 'after')).toMatchObject([
        { segments: ['there is room again'] },
        {},
      ]);
      for (const id of [...stored.keys()].slice(0, 4)) {
        await commit(backend, remove(id));
        stored.delete(id);
      }
      await expectWhole(backend);
      await backend.close();
      run('mount', '-o', 'remount,size=6000k', medium);
      await expectSound(path);
    },
  );

  test('ends an import with how far it came, and the store can be closed, read and audited', async () => {
    const medium = mounted(12_000);
    const path = join(medium, 'store');
    const random = new Random(1);
    function* lines() {
      for (let number = 0; number < 3000; number++) {
        const content = random.bytes(6000).toString('base64');
        yield Buffer.from(
          `${JSON.stringify({ id: `c ${number}`, messages: [{ role: 'user', content }] })}\n`,
        );
      }
    }
    const store = await openVarve(path);
    const error = await rejection(store.importJsonl(lines()), 'NO_SPACE');
    const [, stored] = /; the import stopped, (\d+) records are stored$/.exec(error.message) ?? [];
    expect(Number(stored)).toBeGreaterThan(50);
    await store.close();
    await store.close();
    run('mount', '-o', 'remount,size=16000k', medium);
    await (await LocalBackend.open(path)).close();
    for (const name of ['varve.db-wal', 'varve.db-shm'])
      expect(existsSync(join(path, name)), name).toBe(false);
    // To the last byte: SQLite cannot even make the memory that readers share.
    expect(() => writeFileSync(join(medium, 'ballast'), Buffer.alloc(16_000_000))).toThrow(
      'ENOSPC',
    );
    const reader = await openStore(path, { readOnly: true });
    expect((await reader.usage()).manifests.conversation.count).toBe(Number(stored));
    expect((await auditOf(reader)).findings).toEqual([]);
    await rejection(LocalBackend.open(path), 'NO_SPACE');
    const { findings } = await doctor(path);
    expect(findings.map(({ kind }) => kind)).toEqual(['space']);
  });

  test('does not let a store be created that cannot be used', async () => {
    const medium = mounted(64);
    writeFileSync(join(medium, 'ballast'), Buffer.alloc(56 * 1024));
    await rejection(LocalBackend.open(join(medium, 'store')), 'NO_SPACE');
    rmSync(join(medium, 'ballast'));
    run('mount', '-o', 'remount,size=2000k', medium);
    const backend = await openStore(join(medium, 'store'));
    await commit(backend, put('a', [entry('1', 'text')]));
  });
});

describe.skipIf(obstacle !== undefined)('a read-only medium', () => {
  /** A store on a medium that was made read-only after its last writer ended, or was killed. */
  async function frozen(how: 'closed' | 'killed'): Promise<string> {
    const path = mounted(8000);
    const child = new Child(compiled.agent, {
      path,
      task: how === 'closed' ? 'commit' : 'idle',
      to: 20,
    });
    await child.says('ack 20');
    if (how === 'closed') await child.succeeds();
    else await child.kill();
    remount(path, 'ro');
    return path;
  }

  test.each(['closed', 'killed'] as const)('whose writer was %s opens for reading', async (how) => {
    const path = await frozen(how);
    const backend = await openStore(path, { readOnly: true });
    const ids: string[] = [];
    for await (const { key } of backend.list('conversation')) ids.push(key.id);
    expect(ids).toHaveLength(20);
    expect(await contentOf(backend, 'conversation 19')).toHaveLength(2);
    expect((await auditOf(backend)).findings).toEqual([]);
    expect((await backend.usage()).manifests.conversation.count).toBe(20);
    await rejection(backend.commit([put('a', [])]), 'READ_ONLY');
  });

  test.each(['closed', 'killed'] as const)(
    'whose writer was %s does not open for writing',
    async (how) => {
      const path = await frozen(how);
      const before = readdirSync(path);
      const error = await rejection(LocalBackend.open(path), 'READ_ONLY');
      expect(error.message).toContain(path);
      expect(readdirSync(path)).toEqual(before);
    },
  );

  test('does not let a store be created', async () => {
    const path = mounted(1000);
    remount(path, 'ro');
    await rejection(LocalBackend.open(join(path, 'store')), 'READ_ONLY');
    await rejection(LocalBackend.open(path), 'READ_ONLY');
    await rejection(LocalBackend.open(path, { readOnly: true }), 'NOT_FOUND');
  });
});
