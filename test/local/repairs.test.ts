import { createHash } from 'node:crypto';
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { FindingKind } from '../../src/backends/contract/audit.ts';
import { openSqlite } from '../../src/backends/local/database/sqlite-driver.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { isVarveError } from '../../src/core/errors.ts';
import { contentOf } from '../conformance/builders.ts';
import {
  alter,
  BODY_BLOCK_OF_B,
  blockOf,
  LOG_BLOCK_OF_B,
  packPath,
  rewriteBytes,
  SEGMENT_BLOCK_OF_B,
  smallStore,
  TEXT,
} from './small-store.ts';
import { auditAfresh, packFiles } from './support.ts';

/**
 * What `findings.test.ts` has the reports of: here, what repairs leave, and that they do nothing
 * more than once.
 */

interface Damage {
  readonly name: string;
  readonly kind: FindingKind;
  readonly damage: (path: string) => void;
  /** Kinds that a repair leaves, in order. Default: none. */
  readonly left?: readonly FindingKind[];
  /** How the conversations read, before and after a repair. Default: both are whole. */
  readonly reads?: Readonly<Record<'a' | 'b', string>>;
}

function flipIn(path: string, block: number, at: number): void {
  const { start, length } = blockOf(path, block);
  rewriteBytes(path, (pack) => {
    const position = at < 0 ? start + length + at : start + at;
    pack[position] = (pack[position] as number) ^ 1;
  });
}

const LOST_B = { a: 'whole', b: 'CORRUPT' };

const DAMAGES: readonly Damage[] = [
  {
    name: 'a flipped bit in a segment',
    kind: 'corrupt-data',
    damage: (path) => flipIn(path, SEGMENT_BLOCK_OF_B, -1),
    left: ['corrupt-data', 'corrupt-data'],
    reads: LOST_B,
  },
  {
    name: 'a flipped bit in a body',
    kind: 'corrupt-data',
    damage: (path) => flipIn(path, BODY_BLOCK_OF_B, -1),
    left: ['corrupt-data', 'corrupt-manifest'],
    reads: LOST_B,
  },
  {
    name: 'a directory that cannot be read',
    kind: 'corrupt-data',
    damage: (path) => flipIn(path, SEGMENT_BLOCK_OF_B, 40),
    left: ['corrupt-data', 'missing-data'],
    reads: LOST_B,
  },
  {
    name: 'a pack cut short before a segment',
    kind: 'corrupt-data',
    damage: (path) => truncateSync(packPath(path), blockOf(path, SEGMENT_BLOCK_OF_B).start + 1),
    left: ['corrupt-data', 'corrupt-data', 'corrupt-data', 'corrupt-manifest'],
    reads: LOST_B,
  },
  {
    name: 'a pack that is missing',
    kind: 'missing-data',
    damage: (path) => renameSync(packPath(path), `${path}.kept`),
    left: [...Array(6).fill('missing-data'), 'corrupt-manifest', 'corrupt-manifest'],
    reads: { a: 'CORRUPT', b: 'CORRUPT' },
  },
  {
    name: 'a pack that is another store’s',
    kind: 'corrupt-data',
    damage: (path) => rewriteBytes(path, (pack) => pack.fill('another store')),
    left: [...Array(6).fill('corrupt-data'), 'corrupt-manifest', 'corrupt-manifest'],
    reads: { a: 'CORRUPT', b: 'CORRUPT' },
  },
  {
    name: 'a segment that the index does not lead to',
    kind: 'missing-data',
    damage: (path) => alter(path, 'DELETE FROM extent WHERE space = 0 AND first = 1'),
    left: ['missing-data', 'missing-data'],
    reads: { a: 'whole', b: 'NOT_FOUND' },
  },
  {
    name: 'a body that is another manifest’s',
    kind: 'corrupt-manifest',
    damage: (path) => alter(path, "UPDATE manifest SET body = 0 WHERE name = CAST('b' AS BLOB)"),
    left: ['corrupt-manifest'],
    reads: LOST_B,
  },
  {
    name: 'a count that is too high',
    kind: 'wrong-count',
    damage: (path) => alter(path, 'INSERT INTO state VALUES (0, 1, 9, NULL)'),
  },
  {
    name: 'a count that is too low',
    kind: 'wrong-count',
    damage: (path) => alter(path, 'INSERT INTO state VALUES (0, 1, 0, 1)'),
  },
  {
    name: 'a count without its manifest',
    kind: 'wrong-count',
    damage: (path) => alter(path, "DELETE FROM manifest WHERE name = CAST('b' AS BLOB)"),
    reads: { a: 'whole', b: 'absent' },
  },
  {
    name: 'fingerprints that are lost',
    kind: 'unindexed',
    damage: (path) => alter(path, 'DELETE FROM run WHERE space = 0'),
  },
  {
    name: 'a pack that the index does not name',
    kind: 'orphaned-data',
    damage: (path) => copyFileSync(packPath(path), join(path, 'packs', '00000077.pack')),
  },
];

/** Everything that a store holds: rows, and the bytes of packs. */
function stateOf(path: string): unknown {
  const index = openSqlite(join(path, 'varve.db'), { readonly: true });
  try {
    const tables = index
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
      .pluck()
      .all();
    const rows = tables.map((table) => [
      table,
      index.prepare(`SELECT * FROM "${table}"`).raw().all(),
    ]);
    const packs = packFiles(path).map((file) => [
      file,
      createHash('sha256').update(readFileSync(file)).digest('hex'),
    ]);
    return { rows, packs };
  } finally {
    index.close();
  }
}

async function reading(path: string): Promise<Record<'a' | 'b', string>> {
  const backend = await LocalBackend.open(path, { readOnly: true });
  const read = async (id: 'a' | 'b') => {
    try {
      const content = await contentOf(backend, id);
      if (content === undefined) return 'absent';
      return content[0]?.body === `body of ${id}` && content[0].segments[0] === TEXT[id]
        ? 'whole'
        : 'other';
    } catch (error) {
      if (!isVarveError(error)) throw error;
      return error.code;
    }
  };
  try {
    return { a: await read('a'), b: await read('b') };
  } finally {
    await backend.close();
  }
}

describe('a repair', () => {
  test.each(DAMAGES)(
    'of $name does what it can, once',
    async ({ kind, damage, left = [], reads }) => {
      const path = await smallStore();
      damage(path);
      const before = stateOf(path);
      const found = await auditAfresh(path);
      expect(found[0]?.kind).toBe(kind);
      expect(stateOf(path)).toEqual(before);
      expect(await reading(path)).toEqual(reads ?? { a: 'whole', b: 'whole' });
      const repairing = await auditAfresh(path, { repair: true });
      expect(repairing.filter(({ repaired }) => !repaired).map((each) => each.kind)).toEqual(left);
      const repaired = stateOf(path);
      const after = await auditAfresh(path);
      expect(after.map((each) => each.kind)).toEqual(left);
      expect(await auditAfresh(path, { repair: true })).toEqual(after);
      expect(stateOf(path)).toEqual(repaired);
      expect(await reading(path)).toEqual(reads ?? { a: 'whole', b: 'whole' });
    },
  );

  test('is tested with every kind of finding that files can be damaged to', () => {
    // An upload that was cut off takes a process: `findings.test.ts` has one.
    const every: Record<Exclude<FindingKind, 'stale-writer'>, true> = {
      'missing-data': true,
      'corrupt-data': true,
      'corrupt-manifest': true,
      'wrong-count': true,
      unindexed: true,
      'orphaned-data': true,
    };
    expect([...new Set(DAMAGES.map(({ kind }) => kind))].sort()).toEqual(Object.keys(every).sort());
  });
});

describe('what is not damage', () => {
  test('is a lock of a process that is gone: the next writer removes it', async () => {
    const path = await smallStore();
    mkdirSync(join(path, 'locks'), { recursive: true });
    const lock = join(path, 'locks', '00000000-0000-4000-8000-000000000000.lock');
    writeFileSync(lock, '');
    expect(await auditAfresh(path)).toEqual([]);
    const backend = await LocalBackend.open(path);
    await backend.collect();
    await backend.close();
    expect(() => readFileSync(lock)).toThrow('ENOENT');
  });

  test('is what a commit that failed left behind the end of a pack', async () => {
    const path = await smallStore();
    writeFileSync(packPath(path), 'of a commit that did not happen', { flag: 'a' });
    expect(await auditAfresh(path, { repair: true })).toEqual([]);
    expect(await reading(path)).toEqual({ a: 'whole', b: 'whole' });
  });

  test('is a foreign file beside the packs', async () => {
    const path = await smallStore();
    writeFileSync(join(path, 'notes.txt'), 'mine');
    expect(await auditAfresh(path, { repair: true })).toEqual([]);
    expect(readFileSync(join(path, 'notes.txt'), 'utf8')).toBe('mine');
  });
});

test('the report of a pack cut short names every block behind the cut, and what was in it', async () => {
  const path = await smallStore();
  const { start } = blockOf(path, SEGMENT_BLOCK_OF_B);
  truncateSync(packPath(path), start + 1);
  const truncated = `${packPath(path)} is truncated`;
  const common = { repair: 'none', repaired: false, harmful: true };
  expect(await auditAfresh(path)).toEqual([
    {
      kind: 'corrupt-data',
      message: expect.stringContaining(`a block of segments cannot be read: ${truncated}`),
      location: `${packPath(path)} at byte ${start}`,
      manifests: [],
      ...common,
    },
    {
      kind: 'corrupt-data',
      message: expect.stringContaining(`a block of manifests cannot be read: ${truncated}`),
      location: `${packPath(path)} at byte ${blockOf(path, BODY_BLOCK_OF_B).start}`,
      manifests: [],
      ...common,
    },
    {
      kind: 'corrupt-data',
      message: expect.stringContaining(`a block of the log cannot be read: ${truncated}`),
      location: `${packPath(path)} at byte ${blockOf(path, LOG_BLOCK_OF_B).start}`,
      manifests: [],
      ...common,
    },
    {
      kind: 'corrupt-manifest',
      message: expect.stringContaining(`manifest "b" cannot be read: ${truncated}`),
      manifests: [{ kind: 'conversation', id: 'b' }],
      ...common,
    },
  ]);
});
