import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { openSqlite } from '../../src/backends/local/database/sqlite-driver.ts';
import type { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { addressOf } from '../../src/core/address.ts';
import { Store } from '../../src/store.ts';
import { auditOf, commit, contentOf, entry, put, remove } from '../conformance/builders.ts';
import { Child } from './process/child.ts';
import { compileAgent } from './process/compiled.ts';
import { Random } from './process/random.ts';
import { keyOf, namesOf, readNames } from './process/workload.ts';
import { blockOf } from './small-store.ts';
import { expectSound, expectSoundNow, openStore, packFiles, scratchFolder } from './support.ts';

const compiled = { agent: '' };
beforeAll(async () => {
  compiled.agent = await compileAgent();
});

/** The files of a store that hold any of the given bytes, in the clear. */
function filesWith(path: string, ...needles: (string | Buffer)[]): string[] {
  // Read here, the files would lose the locks that this process has on them (POSIX: by any close).
  const copy = join(scratchFolder(), 'copy');
  const { stderr } = spawnSync('cp', ['-R', path, copy], { encoding: 'utf8' });
  expect(stderr.replaceAll(/^cp: .*No such file or directory\n/gm, '')).toBe('');
  return readdirSync(copy, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(copy, name)).isFile())
    .filter((name) => {
      const bytes = readFileSync(join(copy, name));
      return needles.some((needle) => bytes.includes(needle));
    });
}

/** Text that does not compress, so that it stands in packs as it is. */
function secretOf(seed: number): string {
  const random = new Random(seed);
  return Array.from({ length: 24 }, () => String.fromCharCode(33 + random.below(90))).join('');
}

const BINARY = Buffer.from(Array.from({ length: 600 }, (_, at) => (at * 7919 + (at >> 3)) & 255));

const SECRET = {
  id: 'id-of-jane-doe-1234',
  text: `${secretOf(1)}${secretOf(2)}`,
  body: secretOf(3),
  model: 'model-of-the-secret-project',
  application: 'application-of-the-secret-project',
  nonce: 'nonce-jane-doe-1234',
};

async function putSecret(backend: LocalBackend): Promise<void> {
  const fields = { model: SECRET.model, application: SECRET.application };
  await commit(
    backend,
    put(SECRET.id, [entry(SECRET.body, SECRET.text, 'shared text')], { fields }),
  );
  const idempotencyKey = SECRET.nonce;
  const added = [entry('more', 'appended')];
  await commit(backend, {
    operation: 'append',
    key: keyed(SECRET.id),
    logicalBytes: 1,
    idempotencyKey,
    entries: added,
  });
}

const keyed = (id: string) => ({ kind: 'conversation', id }) as const;

const TRACES: (string | Buffer)[] = [
  ...Object.values(SECRET),
  // The address of a text shows whoever has the text that it was there.
  Buffer.from(addressOf(Buffer.from(SECRET.text)), 'hex'),
];

describe('an erasure', () => {
  test('leaves no trace of what was deleted in any file while other processes have the store open', async () => {
    const path = scratchFolder();
    const other = new Child(compiled.agent, { path, task: 'idle', to: 40 });
    await other.says('ack 40');
    // The same process reads from the packs and appends to one of its own.
    const backend = await openStore(path, { compressionLevel: 1 });
    await commit(backend, put('before', [entry('b', 'text before')]));
    await putSecret(backend);
    await commit(backend, put('neighbour', [entry('n', 'shared text', 'text of the neighbour')]));
    const reader = await openStore(path, { readOnly: true });
    expect((await contentOf(reader, SECRET.id))?.[0]?.segments[0]).toBe(SECRET.text);
    expect(filesWith(path, ...TRACES).length).toBeGreaterThan(1);
    await commit(backend, remove(SECRET.id));
    expect(filesWith(path, ...TRACES).length).toBeGreaterThan(0);
    const report = await backend.collect({ erase: true });
    expect(report).toMatchObject({
      isComplete: true,
      remnants: [],
      collectedSegments: 2,
      waitingSegments: 0,
    });
    expect(filesWith(path, ...TRACES)).toEqual([]);
    expect(await contentOf(reader, 'neighbour')).toEqual([
      { body: 'n', segments: ['shared text', 'text of the neighbour'] },
    ]);
    expect(await contentOf(reader, SECRET.id)).toBeUndefined();
    expect(await readNames(backend, keyOf(7))).toEqual(
      [namesOf(7, 0), namesOf(7, 1)].slice(0, 1 + (7 % 3)),
    );
    await commit(
      backend,
      put('after', [entry('a', 'text after')], { fields: { model: 'another model' } }),
    );
    expect((await reader.heads([keyed('after')]))[0]?.model).toBe('another model');
    await expectSoundNow(backend);
    await other.kill();
    await expectSound(path);
  });

  test('takes the pack of a process that goes on writing, which goes on in another', async () => {
    const path = scratchFolder();
    // Two stores in one process are two writers, as two processes are.
    const writer = await openStore(path);
    const eraser = await openStore(path);
    await putSecret(writer);
    await commit(eraser, remove(SECRET.id));
    for (let round = 0; round < 3; round++) {
      await commit(writer, put(`round ${round}`, [entry('r', `text ${round}`, 'of all rounds')]));
      expect(await eraser.collect({ erase: true })).toMatchObject({
        isComplete: true,
        remnants: [],
      });
      expect(filesWith(path, ...TRACES)).toEqual([]);
      await commit(writer, { operation: 'delete', key: keyed(`round ${round - 1}`) });
      await commit(writer, put(`more ${round}`, [entry('m', `more ${round}`)]));
    }
    expect(await contentOf(eraser, 'round 2')).toEqual([
      { body: 'r', segments: ['text 2', 'of all rounds'] },
    ]);
    expect(await contentOf(writer, 'more 1')).toEqual([{ body: 'm', segments: ['more 1'] }]);
    await expectSoundNow(writer);
  });

  test('beside several writers that delete all the time loses nothing and ends', async () => {
    const path = scratchFolder();
    const writers = [1, 2].map(
      (seed) =>
        new Child(compiled.agent, { path, task: 'churn', seed, forMs: 2500, packBytes: 30_000 }),
    );
    for (const writer of writers) await writer.says('open');
    const backend = await openStore(path);
    await putSecret(backend);
    await commit(backend, remove(SECRET.id));
    let erasures = 0;
    for (const end = performance.now() + 2000; performance.now() < end; erasures++) {
      await backend.collect({ erase: true });
      expect(filesWith(path, ...TRACES)).toEqual([]);
    }
    for (const writer of writers) await writer.succeeds();
    expect(erasures).toBeGreaterThan(0);
    expect(await backend.collect({ erase: true })).toMatchObject({
      isComplete: true,
      remnants: [],
    });
    await expectSoundNow(backend);
  });

  test('waits for a reader of the old state, and says so when it may not wait long enough', async () => {
    const path = scratchFolder();
    const backend = await openStore(path);
    await putSecret(backend);
    for (let number = 0; number < 300; number++)
      await commit(backend, put(`c${number}`, [entry('b', `text ${number}`)]));
    const index = openSqlite(join(path, 'varve.db'), { readonly: true });
    index.exec('BEGIN');
    index.prepare('SELECT count(*) FROM manifest').get();
    await commit(backend, remove(SECRET.id));
    const cut = await backend.collect({ erase: true, deadlineMs: 400 });
    expect(cut.isComplete).toBe(false);
    expect(cut.remnants).toContainEqual({
      location: join(path, 'varve.db-wal'),
      reason: expect.stringContaining('older state of the index'),
    });
    const erasure = backend.collect({ erase: true });
    index.exec('COMMIT');
    index.close();
    expect(await erasure).toMatchObject({ isComplete: true, remnants: [] });
    expect(filesWith(path, ...TRACES)).toEqual([]);
  });

  test('without a deadline is patient for a minute, and then says so', async () => {
    const path = scratchFolder();
    const backend = await openStore(path);
    await putSecret(backend);
    const index = openSqlite(join(path, 'varve.db'), { readonly: true });
    index.exec('BEGIN');
    index.prepare('SELECT count(*) FROM manifest').get();
    await commit(backend, remove(SECRET.id));
    // Every look at the clock takes 10 seconds.
    const clock = vi.spyOn(performance, 'now');
    let seconds = 0;
    clock.mockImplementation(() => {
      seconds += 10;
      return seconds * 1000;
    });
    try {
      const { isComplete, remnants } = await backend.collect({ erase: true });
      expect(isComplete).toBe(false);
      expect(remnants?.map(({ location }) => location)).toEqual([join(path, 'varve.db-wal')]);
    } finally {
      clock.mockRestore();
      index.close();
    }
  });

  test('takes what collections, failed commits and lost processes left behind', async () => {
    const path = scratchFolder();
    const backend = await openStore(path);
    await putSecret(backend);
    await commit(backend, put('stays', [entry('s', 'stays')]));
    await commit(backend, remove(SECRET.id));
    // Swept, but in a pack that nobody had a reason to rewrite.
    await backend.collect({ graceMs: 0 });
    await backend.close();
    const [pack = ''] = readdirSync(join(path, 'packs'));
    writeFileSync(join(path, 'packs', pack), SECRET.text, { flag: 'a' });
    writeFileSync(join(path, 'packs', '00000099.pack'), SECRET.text);
    const again = await openStore(path);
    expect(await again.collect({ erase: true })).toMatchObject({ isComplete: true, remnants: [] });
    expect(filesWith(path, ...TRACES)).toEqual([]);
    expect(await contentOf(again, 'stays')).toEqual([{ body: 's', segments: ['stays'] }]);
  });

  test('names the pack that damage keeps it from rewriting', async () => {
    const path = scratchFolder();
    const backend = await openStore(path);
    await putSecret(backend);
    await backend.close();
    const [pack = ''] = readdirSync(join(path, 'packs'));
    const file = join(path, 'packs', pack);
    const bytes = readFileSync(file);
    bytes[45] = (bytes[45] as number) ^ 1;
    writeFileSync(file, bytes);
    const again = await openStore(path);
    await commit(again, remove(SECRET.id));
    const report = await again.collect({ erase: true });
    expect(report.isComplete).toBe(false);
    expect(report.remnants).toEqual([
      { location: file, reason: expect.stringContaining('damaged') },
    ]);
  });

  test('of all that there is leaves nothing but a log that says so', async () => {
    const path = scratchFolder();
    const backend = await openStore(path);
    await putSecret(backend);
    await commit(backend, put('blob', [entry('b', BINARY.toString('latin1'))]));
    for (const id of [SECRET.id, 'blob']) await commit(backend, remove(id));
    expect(await backend.collect({ erase: true })).toMatchObject({
      isComplete: true,
      remnants: [],
    });
    for (const pack of readdirSync(join(path, 'packs')))
      expect(statSync(join(path, 'packs', pack)).size).toBeLessThan(200);
    expect((await auditOf(backend)).findings).toEqual([]);
  });
});

describe('erasing conversations', () => {
  test('reports what they share with whom, and keeps that', async () => {
    const path = scratchFolder();
    const backend = await openStore(path);
    const store = new Store(backend);
    const shared = `a long text that both have ${'x'.repeat(600)}`;
    const own = `${secretOf(9)} only one has this ${'y'.repeat(600)}`;
    const messages = (...texts: string[]) => texts.map((content) => ({ role: 'user', content }));
    await store.conversations.put({ id: 'a', messages: messages(shared, own) });
    await store.conversations.put({ id: 'b', messages: messages(shared) });
    const address = addressOf(Buffer.from(shared));
    const report = await store.eraseConversations(['a', 'nobody']);
    expect(report).toMatchObject({
      deleted: ['a'],
      absent: ['nobody'],
      shared: [{ address, length: shared.length, manifests: [{ kind: 'conversation', id: 'b' }] }],
      collection: { isComplete: true, remnants: [] },
    });
    expect(filesWith(path, own.slice(0, 20))).toEqual([]);
    expect(await store.conversations.get('b')).toMatchObject({ messages: messages(shared) });
    expect(await store.eraseConversations(['b'])).toMatchObject({ deleted: ['b'], shared: [] });
  });
});

test('an erasure does not call gone what a manifest held that could not be read when it was deleted', async () => {
  const path = scratchFolder();
  const backend = await openStore(path);
  await backend.commit([put('a', [entry('body', SECRET.text)]), put('b', [entry('other')])]);
  const [pack = ''] = packFiles(path);
  const bytes = readFileSync(pack);
  const { start, length } = blockOf(path, 2);
  const last = start + length - 1;
  bytes[last] = (bytes[last] as number) ^ 1;
  writeFileSync(pack, bytes);
  await commit(backend, remove('a'));
  const { remnants, isComplete } = await backend.collect({ erase: true });
  expect(filesWith(path, SECRET.text)).not.toEqual([]);
  expect(isComplete).toBe(false);
  expect(remnants).toEqual([
    { location: path, reason: expect.stringContaining('could not be read') },
    // Its record of the log cannot be left behind without the block.
    { location: pack, reason: expect.stringContaining('it is damaged') },
  ]);
});
