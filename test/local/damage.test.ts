import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Finding } from '../../src/backends/contract/audit.ts';
import { openSqlite } from '../../src/backends/local/database/sqlite-driver.ts';
import { FORMAT_VERSION } from '../../src/backends/local/format/schema.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import type { ErrorCode } from '../../src/core/errors.ts';
import {
  auditOf,
  commit,
  contentOf,
  entry,
  put,
  segment,
  succeeded,
} from '../conformance/builders.ts';
import { times } from '../thorough.ts';
import {
  auditAfresh,
  expectSound,
  openStore,
  packFiles,
  rejection,
  scratchFolder,
} from './support.ts';

interface Block {
  readonly id: number;
  readonly pack: number;
  readonly start: number;
  readonly length: number;
}

const SEGMENT_BLOCK = 0;
const BODY_BLOCK = 1;

/** The block of a space that was written `number`th. */
function blockOf(path: string, space: number, number: number): Block {
  return query(
    path,
    'SELECT id, pack, start, length FROM block WHERE space = ? ORDER BY id LIMIT 1 OFFSET ?',
    space,
    number,
  );
}

function query<Row>(path: string, sql: string, ...parameters: unknown[]): Row {
  const index = openSqlite(join(path, 'varve.db'), { readonly: true });
  try {
    return index.prepare(sql).get(...parameters) as Row;
  } finally {
    index.close();
  }
}

function alter(path: string, sql: string, ...parameters: unknown[]): void {
  const index = openSqlite(join(path, 'varve.db'));
  try {
    index.prepare(sql).run(...parameters);
  } finally {
    index.close();
  }
}

function packOf(path: string, { pack }: Block): string {
  return join(path, 'packs', `${String(pack).padStart(8, '0')}.pack`);
}

/** Turns one bit around, `at` bytes into a block. */
function flip(path: string, block: Block, at: number): void {
  const file = packOf(path, block);
  const bytes = readFileSync(file);
  bytes[block.start + at] = (bytes[block.start + at] as number) ^ 4;
  writeFileSync(file, bytes);
}

/** A closed store of three conversations, each in a commit and so in blocks of its own. */
async function smallStore(): Promise<string> {
  const path = scratchFolder();
  const backend = await LocalBackend.open(path);
  for (const id of ['a', 'b', 'c']) await commit(backend, putOf(id));
  await backend.close();
  return path;
}

const putOf = (id: string) =>
  put(id, [entry(`body of ${id}`, `first segment of ${id}`, `second segment of ${id}`)]);
const contentsOf = (id: string) => [
  { body: `body of ${id}`, segments: [`first segment of ${id}`, `second segment of ${id}`] },
];

function kinds(findings: readonly Finding[]): string[] {
  return [...new Set(findings.map(({ kind }) => kind))].sort();
}

function manifestsIn(findings: readonly Finding[]): string[] {
  return [...new Set(findings.flatMap(({ manifests }) => manifests.map(({ id }) => id)))].sort();
}

/** a and c are whole, b is not; after a put of b's content everything is. */
async function expectOnlyBLost(
  path: string,
  pattern: RegExp,
  code: ErrorCode = 'CORRUPT',
): Promise<void> {
  const backend = await openStore(path);
  expect(await contentOf(backend, 'a')).toEqual(contentsOf('a'));
  expect(await contentOf(backend, 'c')).toEqual(contentsOf('c'));
  const error = await rejection(contentOf(backend, 'b'), code);
  expect(error.message).toMatch(pattern);
  const { findings } = await auditOf(backend);
  expect(findings.length).toBeGreaterThan(0);
  expect(manifestsIn(findings)).toEqual(['b']);
  expect(findings.filter(({ harmful }) => harmful).length).toBeGreaterThan(0);
  expect(findings.some(({ location }) => location?.includes('.pack at byte'))).toBe(true);
  await backend.close();
}

const DIRECTORY = 40;

describe('a flipped bit', () => {
  test.each([
    ['the magic', 0],
    ['the version', 4],
    ['the space', 5],
    ['the reserved bytes', 6],
    ['the directory length', 8],
    ['the frame length', 12],
    ['the directory checksum', 16],
    ['the directory', DIRECTORY],
  ])(
    'in %s of a block of segments costs that block alone, and putting its content again brings it back',
    async (_, at) => {
      const path = await smallStore();
      flip(path, blockOf(path, SEGMENT_BLOCK, 1), at);
      // A version that is not known may be one to come.
      await expectOnlyBLost(
        path,
        /00000001\.pack at byte \d+/,
        at === 4 ? 'UNSUPPORTED_FORMAT' : 'CORRUPT',
      );
      const backend = await openStore(path);
      const outcome = await commit(backend, { ...putOf('b'), ifExists: 'replace' });
      expect(outcome).toMatchObject({ status: 'replaced', newSegments: 2 });
      expect(await contentOf(backend, 'b')).toEqual(contentsOf('b'));
      // A collection steps around the damage.
      await backend.collect({ graceMs: 0, full: true });
      for (const id of ['a', 'b', 'c'])
        expect(await contentOf(backend, id)).toEqual(contentsOf(id));
    },
  );

  test.each([
    ['the frame checksum', 24],
    ['the frame', -3],
  ])('in %s of a block of segments is an error with the address', async (_, at) => {
    const path = await smallStore();
    const block = blockOf(path, SEGMENT_BLOCK, 1);
    flip(path, block, at < 0 ? block.length + at : at);
    await expectOnlyBLost(
      path,
      new RegExp(`${segment('first segment of b').address}.*pack at byte`),
    );
    const backend = await openStore(path);
    await backend.collect({ graceMs: 0, full: true });
    for (const id of ['a', 'c']) expect(await contentOf(backend, id)).toEqual(contentsOf(id));
  });

  test.each([
    ['the header', 9],
    ['the directory', 33],
    ['the frame', -3],
  ])(
    'in %s of a block of bodies costs its manifests alone, which can be replaced and deleted',
    async (_, at) => {
      const path = await smallStore();
      const block = blockOf(path, BODY_BLOCK, 1);
      flip(path, block, at < 0 ? block.length + at : at);
      await expectOnlyBLost(path, /pack at byte \d+/);
      expect(kinds(await auditAfresh(path))).toContain('corrupt-manifest');
      const backend = await openStore(path);
      expect(await backend.heads([{ kind: 'conversation', id: 'b' }])).toMatchObject([
        { key: { id: 'b' } },
      ]);
      const [refused] = await backend.commit([putOf('b')]);
      expect(refused).toMatchObject({ status: 'failed', error: { code: 'CORRUPT' } });
      expect(await commit(backend, { ...putOf('b'), ifExists: 'replace' })).toMatchObject({
        status: 'replaced',
      });
      expect(await contentOf(backend, 'b')).toEqual(contentsOf('b'));
      await commit(backend, { operation: 'delete', key: { kind: 'conversation', id: 'b' } });
      await backend.collect({ graceMs: 0, full: true });
      for (const id of ['a', 'c']) expect(await contentOf(backend, id)).toEqual(contentsOf(id));
      // What the lost body referenced was never released: that is bookkeeping, and repaired.
      await auditAfresh(path, { repair: true });
      expect((await auditAfresh(path)).filter(({ kind }) => kind === 'wrong-count')).toEqual([]);
    },
  );

  test('anywhere in a pack is found by an audit', async () => {
    const path = await smallStore();
    const [pack = ''] = packFiles(path);
    const intact = readFileSync(pack);
    for (let at = 0; at < intact.length; at += times(7, 1)) {
      const damaged = Buffer.from(intact);
      damaged[at] = (intact[at] as number) ^ (1 << (at % 8));
      writeFileSync(pack, damaged);
      const findings = await auditAfresh(path);
      expect(findings.length, `byte ${at}`).toBeGreaterThan(0);
      expect(
        findings.every(({ kind }) => kind !== 'wrong-count'),
        `byte ${at}`,
      ).toBe(true);
    }
    writeFileSync(pack, intact);
    await expectSound(path);
  });
});

describe('a pack', () => {
  test('cut short costs what is behind the cut, and is not appended to', async () => {
    const path = await smallStore();
    const block = blockOf(path, SEGMENT_BLOCK, 2);
    truncateSync(packOf(path, block), block.start + 10);
    const backend = await openStore(path);
    for (const id of ['a', 'b']) expect(await contentOf(backend, id)).toEqual(contentsOf(id));
    expect((await rejection(contentOf(backend, 'c'), 'CORRUPT')).message).toMatch(
      /00000001\.pack is truncated/,
    );
    expect(manifestsIn((await auditOf(backend)).findings)).toEqual(['c']);
    await commit(backend, put('d', [entry('body of d', 'segment of d')]));
    expect(packFiles(path)).toHaveLength(2);
    expect(await commit(backend, { ...putOf('c'), ifExists: 'replace' })).toMatchObject({
      newSegments: 2,
    });
    expect(await contentOf(backend, 'c')).toEqual(contentsOf('c'));
  });

  test('that is gone is named, and putting its content again brings it back', async () => {
    const path = await smallStore();
    const [pack = ''] = packFiles(path);
    renameSync(pack, `${path}.kept`);
    const backend = await openStore(path);
    expect((await rejection(contentOf(backend, 'a'), 'CORRUPT')).message).toMatch(
      /00000001\.pack is missing: restore it/,
    );
    const { findings } = await auditOf(backend);
    expect(kinds(findings)).toEqual(['corrupt-manifest', 'missing-data']);
    expect(manifestsIn(findings)).toEqual(['a', 'b', 'c']);
    expect(await commit(backend, put('d', [entry('new', 'first segment of a')]))).toMatchObject({
      newSegments: 1,
    });
    expect(await commit(backend, { ...putOf('a'), ifExists: 'replace' })).toMatchObject({
      newSegments: 1,
    });
    expect(await contentOf(backend, 'a')).toEqual(contentsOf('a'));
    await backend.collect({ graceMs: 0, full: true });
    await backend.close();
    renameSync(`${path}.kept`, pack);
    const again = await openStore(path);
    for (const id of ['a', 'b', 'c']) expect(await contentOf(again, id)).toEqual(contentsOf(id));
  });

  test('that the index does not name is found, and removed by a repair', async () => {
    const path = await smallStore();
    const stray = join(path, 'packs', '00000077.pack');
    writeFileSync(stray, 'left by nobody');
    const [finding] = await auditAfresh(path);
    expect(finding).toMatchObject({
      kind: 'orphaned-data',
      location: stray,
      harmful: false,
      repaired: false,
    });
    expect(await auditAfresh(path, { repair: true })).toMatchObject([
      { kind: 'orphaned-data', repaired: true },
    ]);
    expect(existsSync(stray)).toBe(false);
    await expectSound(path);
  });
});

describe('an index', () => {
  test.each([
    ['a count too high', 'INSERT INTO state VALUES (0, 0, 5, NULL)'],
    ['a count too low', 'INSERT INTO state VALUES (0, 1, 0, 1)'],
    ['a referenced segment marked as swept', 'INSERT INTO state VALUES (0, 2, -1, NULL)'],
    ['a count that makes no sense', 'INSERT INTO state VALUES (0, 3, -7, NULL)'],
  ])('with %s is repaired', async (_, sql) => {
    const path = await smallStore();
    alter(path, sql);
    expect(await auditAfresh(path)).toMatchObject([
      { kind: 'wrong-count', repaired: false, harmful: false },
    ]);
    expect(await auditAfresh(path, { repair: true })).toMatchObject([
      { kind: 'wrong-count', repaired: true },
    ]);
    await expectSound(path);
    const backend = await openStore(path);
    await backend.collect({ graceMs: 0, full: true });
    for (const id of ['a', 'b', 'c']) expect(await contentOf(backend, id)).toEqual(contentsOf(id));
  });

  test.each([
    ['segment', 0, 6],
    ['manifest', 1, 3],
  ])('without its %s fingerprints is repaired', async (_, space, count) => {
    const path = await smallStore();
    alter(path, 'DELETE FROM run WHERE space = ?', space);
    expect(await auditAfresh(path)).toHaveLength(count);
    const repaired = await auditAfresh(path, { repair: true });
    expect(kinds(repaired)).toEqual(['unindexed']);
    await expectSound(path);
    const backend = await openStore(path);
    for (const id of ['a', 'b', 'c']) {
      expect(await contentOf(backend, id)).toEqual(contentsOf(id));
      expect(succeeded((await backend.commit([putOf(id)]))[0]).status).toBe('unchanged');
    }
  });

  test('full of garbage is an error that names it', async () => {
    const path = await smallStore();
    writeFileSync(join(path, 'varve.db'), Buffer.alloc(40_000, 'garbage '));
    const error = await rejection(LocalBackend.open(path), 'CORRUPT');
    expect(error.message).toContain(path);
    expect(error.message).toMatch(/varve\.db is damaged/);
  });

  test.each([
    ['missing', (path: string) => rmSync(path)],
    ['empty', (path: string) => truncateSync(path)],
  ])('that is %s is not created again over the packs it belongs to', async (_, lose) => {
    const path = await smallStore();
    const [pack = ''] = packFiles(path);
    const before = readFileSync(pack);
    cpSync(join(path, 'varve.db'), `${path}.kept`);
    lose(join(path, 'varve.db'));
    const error = await rejection(LocalBackend.open(path), 'CORRUPT');
    expect(error.message).toContain('varve salvage');
    await rejection(LocalBackend.open(path, { readOnly: true }), 'CORRUPT');
    expect(readFileSync(pack).equals(before)).toBe(true);
    cpSync(`${path}.kept`, join(path, 'varve.db'));
    await expectSound(path);
  });

  test('of a newer format is refused and not touched', async () => {
    const path = await smallStore();
    alter(path, `PRAGMA user_version = ${FORMAT_VERSION + 1}`);
    for (const readOnly of [false, true]) {
      const error = await rejection(LocalBackend.open(path, { readOnly }), 'UNSUPPORTED_FORMAT');
      expect(error.message).toContain(`store format ${FORMAT_VERSION + 1}`);
      expect(error.message).toMatch(/newer version/);
    }
    expect(query(path, 'PRAGMA user_version')).toEqual({ user_version: FORMAT_VERSION + 1 });
  });

  test("that is another program's database is refused and not touched", async () => {
    const path = scratchFolder();
    const file = join(path, 'varve.db');
    const foreign = openSqlite(file);
    foreign.exec('CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)');
    foreign.close();
    const before = readFileSync(file);
    for (const version of [0, 1]) {
      if (version === 1) alter(path, 'PRAGMA user_version = 1');
      for (const readOnly of [false, true]) {
        const error = await rejection(LocalBackend.open(path, { readOnly }), 'INVALID_ARGUMENT');
        expect(error.message).toContain('not the index of a Varve store');
      }
      if (version === 0) expect(readFileSync(file).equals(before)).toBe(true);
    }
  });
});

describe('what is not a store', () => {
  test('is a folder that holds something else', async () => {
    const path = scratchFolder();
    writeFileSync(join(path, 'thesis.tex'), 'important');
    const error = await rejection(LocalBackend.open(path), 'INVALID_ARGUMENT');
    expect(error.message).toContain('thesis.tex');
    expect(existsSync(join(path, 'varve.db'))).toBe(false);
  });

  test('is a file, and a folder below a file', async () => {
    const file = join(scratchFolder(), 'file');
    writeFileSync(file, 'x');
    expect((await rejection(LocalBackend.open(file), 'INVALID_ARGUMENT')).message).toContain(
      'is a file',
    );
    const below = await LocalBackend.open(join(file, 'store')).catch((error: unknown) => error);
    expect(below).toMatchObject({ name: 'VarveError', message: expect.stringContaining(file) });
  });

  test('is a folder that does not exist, when none is to be created', async () => {
    const path = join(scratchFolder(), 'absent');
    for (const options of [{ create: false }, { readOnly: true }]) {
      expect((await rejection(LocalBackend.open(path, options), 'NOT_FOUND')).message).toContain(
        path,
      );
    }
    expect(existsSync(path)).toBe(false);
  });

  test('is not an empty folder, or one whose creation was cut off', async () => {
    const path = scratchFolder();
    mkdirSync(join(path, 'packs'));
    mkdirSync(join(path, 'locks'));
    writeFileSync(join(path, 'varve.db'), '');
    const backend = await openStore(path);
    await commit(backend, putOf('a'));
    expect(dirname(packFiles(path)[0] ?? '')).toBe(join(path, 'packs'));
  });
});
