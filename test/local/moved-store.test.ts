import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { PutWrite } from '../../src/backends/contract/manifests.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import type { LocalOptions } from '../../src/backends/local/local-options.ts';
import {
  commit,
  contentOf,
  conversation,
  entry,
  hold,
  put,
  remove,
} from '../conformance/builders.ts';
import { expectSound, openStore, rejection, scratchFolder } from './support.ts';

/** Packs of one block or two, so that there is a pack to open and a pack to remove. */
const SMALL: LocalOptions = { packBytes: 600, segmentBlockBytes: 1000, bodyBlockBytes: 1000 };

const ids = Array.from({ length: 12 }, (_, number) => `c ${number}`);

/**
 * The same shape for every `word`: ids of records, blocks and packs, and lengths, are the same in
 * all such stores.
 */
function textOf(id: string, word: string): string {
  return `${word} ${id} `.repeat(60);
}

async function filled(path: string, word: string): Promise<LocalBackend> {
  const backend = await openStore(path, SMALL);
  for (const id of ids) await commit(backend, put(id, [entry(`body of ${id}`, textOf(id, word))]));
  return backend;
}

/** A store of the same shape, which nobody has open. */
async function otherStore(): Promise<string> {
  const path = join(scratchFolder(), 'other');
  await (await filled(path, 'other')).close();
  return path;
}

/**
 * Digests of the files below a path, taken by another process: one that closes the index drops its
 * locks.
 */
function digestsOf(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const { status, stdout } = spawnSync('sh', [
    '-c',
    'find "$0" -type f | sort | xargs sha256sum',
    path,
  ]);
  expect(status).toBe(0);
  return stdout.toString();
}

interface Mishap {
  /** @param other a store of the same shape. */
  readonly happen: (path: string, other: string) => void;
  readonly undo: (path: string) => void;
  /** What there is by then that the store does not own. Default: the whole directory. */
  readonly foreign?: string;
}

/** What becomes of the directory of an open store. */
const MISHAPS: Record<string, Mishap> = {
  'was renamed': {
    happen: (path) => renameSync(path, `${path}.old`),
    undo: (path) => renameSync(`${path}.old`, path),
  },
  'was replaced by a store of the same shape': {
    happen: (path, other) => {
      renameSync(path, `${path}.old`);
      renameSync(other, path);
    },
    undo: (path) => {
      renameSync(path, `${path}.new`);
      renameSync(`${path}.old`, path);
    },
  },
  'was replaced by its own copy': {
    happen: (path) => {
      renameSync(path, `${path}.old`);
      cpSync(`${path}.old`, path, { recursive: true });
    },
    undo: (path) => {
      rmSync(path, { recursive: true });
      renameSync(`${path}.old`, path);
    },
  },
  'is reached by a link that leads elsewhere now': {
    happen: (path, other) => {
      renameSync(path, `${path}.old`);
      symlinkSync(other, path);
    },
    undo: (path) => {
      rmSync(path);
      renameSync(`${path}.old`, path);
    },
  },
  'has another index': {
    foreign: 'varve.db',
    happen: (path) => {
      renameSync(join(path, 'varve.db'), `${path}.db`);
      cpSync(`${path}.db`, join(path, 'varve.db'));
    },
    undo: (path) => renameSync(`${path}.db`, join(path, 'varve.db')),
  },
  'has no folder of packs': {
    foreign: 'packs',
    happen: (path) => renameSync(join(path, 'packs'), `${path}.packs`),
    undo: (path) => renameSync(`${path}.packs`, join(path, 'packs')),
  },
  'has another folder of packs': {
    foreign: 'packs',
    happen: (path) => {
      renameSync(join(path, 'packs'), `${path}.packs`);
      cpSync(`${path}.packs`, join(path, 'packs'), { recursive: true });
    },
    undo: (path) => {
      rmSync(join(path, 'packs'), { recursive: true });
      renameSync(`${path}.packs`, join(path, 'packs'));
    },
  },
};

const upload: Omit<PutWrite, 'entries' | 'fields'> = {
  operation: 'put',
  key: conversation('stream'),
  ifExists: 'error',
};

async function* entries() {
  yield entry('streamed', 'streamed text');
}

/** What a step of work under way calls: the mishap comes in the middle of it. */
type Meanwhile = () => void;

interface Operation {
  readonly run: (backend: LocalBackend, scratch: string, meanwhile: Meanwhile) => Promise<unknown>;
  /** What it does is in the index alone. */
  readonly isInIndex?: true;
}

async function repaired(backend: LocalBackend, onProgress: () => void): Promise<void> {
  for await (const finding of backend.audit({ repair: true, onProgress }))
    expect(finding.repaired).toBe(true);
}

/** Whatever acknowledges something, or changes files. */
const OPERATIONS: Record<string, Operation> = {
  'a put': { run: (backend) => backend.commit([put('new', [entry('1', 'new text')])]) },
  'a put of what is stored': {
    run: (backend) => backend.commit([put('c 1', [entry('body of c 1', textOf('c 1', 'first'))])]),
  },
  'a deletion': { run: (backend) => backend.commit([remove('c 3')]) },
  'a hold': { run: (backend) => backend.commit([hold('c 3', true)]) },
  'a stream': { run: (backend) => backend.publish(upload, entries(), () => ({ logicalBytes: 1 })) },
  'a report': { run: (backend) => backend.reports.add({ time: 1, body: '{}' }), isInIndex: true },
  'a lease': { run: (backend) => backend.lease('gc', 1000), isInIndex: true },
  'a plan': { run: (backend) => backend.collect({ graceMs: 0, full: true, dryRun: true }) },
  'a look at sizes': { run: (backend) => backend.usage() },
  'a collection': {
    run: (backend, _, onProgress) => backend.collect({ graceMs: 0, full: true, onProgress }),
  },
  'an erasure': { run: (backend, _, onProgress) => backend.collect({ erase: true, onProgress }) },
  'a repair': { run: (backend, _, onProgress) => repaired(backend, onProgress) },
  'a backup': {
    run: (backend, scratch, onProgress) => backend.backup(join(scratch, 'backup'), { onProgress }),
  },
};

async function expectRefused(path: string, work: Promise<unknown>): Promise<void> {
  const error = await rejection(work, 'IO');
  expect(error.message).toContain(`the directory ${path} was moved, replaced or removed`);
  expect(error.message).toContain('close this store and open it again');
}

describe.each(Object.entries(MISHAPS))('a directory that %s under an open store', (_, mishap) => {
  const { happen, undo, foreign = '' } = mishap;

  test('fails whatever comes then, and nothing but the store that was opened changes', async () => {
    const scratch = scratchFolder();
    const path = join(scratch, 'store');
    const backend = await filled(path, 'first');
    // So that a collection has packs to remove.
    await backend.commit(ids.slice(4, 8).map((id) => remove(id)));
    happen(path, await otherStore());
    const before = digestsOf(join(path, foreign));
    for (const [name, { run, isInIndex }] of Object.entries(OPERATIONS)) {
      if (isInIndex && foreign === 'packs') continue;
      await expectRefused(
        path,
        run(backend, scratch, () => undefined),
      );
      expect(digestsOf(join(path, foreign)), name).toBe(before);
    }
    undo(path);
    // What it was before, it is again: nothing was half-done.
    expect(await contentOf(backend, 'c 3')).toEqual([
      { body: 'body of c 3', segments: [textOf('c 3', 'first')] },
    ]);
    expect(await contentOf(backend, 'new')).toBeUndefined();
    await commit(backend, put('after', [entry('1', 'after text')]));
    await backend.close();
    await expectSound(path);
  });

  // What a backup takes of the index it has at its beginning.
  const long = ['a collection', 'an erasure', ...(foreign === 'varve.db' ? [] : ['a backup'])];

  test.each(long)('during %s, does no harm to what is there then', async (name) => {
    const scratch = scratchFolder();
    const path = join(scratch, 'store');
    const backend = await filled(path, 'first');
    await backend.commit(ids.slice(4, 8).map((id) => remove(id)));
    const store = await otherStore();
    let before: string | undefined;
    let isOver = false;
    const run = OPERATIONS[name]?.run as Operation['run'];
    const work = run(backend, scratch, () => {
      if (isOver) return;
      isOver = true;
      happen(path, store);
      before = digestsOf(join(path, foreign));
    });
    await expectRefused(path, work);
    expect(digestsOf(join(path, foreign))).toBe(before);
    undo(path);
    await backend.close();
    await expectSound(path);
  });

  test('leaves reads with what was opened, or with an error', async () => {
    const path = join(scratchFolder(), 'store');
    await (await filled(path, 'first')).close();
    const backend = await openStore(path, SMALL);
    happen(path, await otherStore());
    for (const id of ids) {
      const read = await contentOf(backend, id).catch((error: unknown) => error);
      if (Array.isArray(read))
        expect(read).toEqual([{ body: `body of ${id}`, segments: [textOf(id, 'first')] }]);
      else expect(read).toMatchObject({ name: 'VarveError', code: 'IO' });
    }
  });

  test('does not keep the store from being closed, and closing leaves alone what is there by now', async () => {
    const path = join(scratchFolder(), 'store');
    const backend = await filled(path, 'first');
    happen(path, await otherStore());
    const other = existsSync(join(path, 'varve.db'))
      ? await openStore(path).catch(() => undefined)
      : undefined;
    if (other !== undefined) await commit(other, put('beside', [entry('1', 'beside text')]));
    const before = digestsOf(join(path, foreign));
    await backend.close();
    expect(digestsOf(join(path, foreign))).toBe(before);
    if (other !== undefined) expect(await contentOf(other, 'beside')).toHaveLength(1);
  });
});

test('a directory that was removed under an open store fails a commit, and is not made again', async () => {
  const path = join(scratchFolder(), 'store');
  const backend = await filled(path, 'first');
  rmSync(path, { recursive: true });
  await rejection(backend.commit([put('new', [entry('1', 'new text')])]), 'IO');
  await rejection(
    backend.publish(upload, entries(), () => ({ logicalBytes: 1 })),
    'IO',
  );
  await backend.close();
  expect(existsSync(path)).toBe(false);
});

test('a directory that was moved before the first write is not made again', async () => {
  const path = join(scratchFolder(), 'store');
  await (await filled(path, 'first')).close();
  const backend = await openStore(path);
  renameSync(path, `${path}.old`);
  await rejection(
    backend.publish(upload, entries(), () => ({ logicalBytes: 1 })),
    'IO',
  );
  await rejection(backend.commit([put('new', [entry('1', 'new text')])]), 'IO');
  expect(existsSync(path)).toBe(false);
  mkdirSync(path);
  await rejection(backend.commit([put('new', [entry('1', 'new text')])]), 'IO');
  expect(readdirSync(path)).toEqual([]);
});

test('a pack that was replaced by its copy under its writer fails the commit', async () => {
  const path = join(scratchFolder(), 'store');
  const backend = await openStore(path);
  await commit(backend, put('a', [entry('1', 'text')]));
  const pack = join(path, 'packs', '00000001.pack');
  renameSync(pack, `${path}.pack`);
  cpSync(`${path}.pack`, pack);
  const error = await rejection(backend.commit([put('b', [entry('1', 'more text')])]), 'IO');
  expect(error.message).toContain(`${pack} is not what it was`);
  await backend.close();
  await expectSound(path);
  const again = await openStore(path);
  await commit(again, put('b', [entry('1', 'more text')]));
  expect(await contentOf(again, 'a')).toEqual([{ body: '1', segments: ['text'] }]);
});

test('what was acknowledged before the directory moved is found where it went', async () => {
  const path = join(scratchFolder(), 'store');
  const backend = await filled(path, 'first');
  renameSync(path, `${path}.old`);
  await rejection(backend.commit([put('new', [entry('1', 'new text')])]), 'IO');
  await backend.close();
  const moved = await LocalBackend.open(`${path}.old`);
  for (const id of ids) {
    expect(await contentOf(moved, id)).toEqual([
      { body: `body of ${id}`, segments: [textOf(id, 'first')] },
    ]);
  }
  await moved.close();
  await expectSound(`${path}.old`);
});
