import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  type Database,
  openSqlite,
  sqliteDriver,
} from '../../src/backends/local/database/sqlite-driver.ts';
import { exercise } from './exercise.ts';
import { SCANS, SMALL } from './scans.ts';

/**
 * Every statement is recorded at the driver, which none can avoid, while a store does all that it
 * can do. None may pass over a whole table, or sort, but those that scans.ts lists with a reason.
 */

const SOURCES = join(import.meta.dirname, '../../src/backends/local');

/** Statements as they were prepared. */
const seen = new Set<string>();
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'varve-plans-'));
  const { prototype } = sqliteDriver();
  const { prepare, exec } = prototype;
  vi.spyOn(prototype, 'prepare').mockImplementation(function (this: Database, sql: string) {
    seen.add(plain(sql));
    return prepare.call(this, sql);
  });
  vi.spyOn(prototype, 'exec').mockImplementation(function (this: Database, sql: string) {
    if (!sql.includes('CREATE ')) for (const each of sql.split(';')) seen.add(plain(each));
    return exec.call(this, sql);
  });
  try {
    await exercise(folder);
  } finally {
    vi.restoreAllMocks();
  }
}, 60_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

describe.each(['without statistics', 'with those of a large store'])('%s', (statistics) => {
  it('no statement passes over a table or sorts, but the listed ones', () => {
    const index = openSqlite(join(folder, 'store', 'varve.db'));
    try {
      index.exec('BEGIN');
      if (statistics.startsWith('with ')) pretendLarge(index);
      const unlisted = statements().flatMap((sql) => {
        const slow = planOf(index, sql).filter(isSlow);
        return slow.length > 0 && reasonOf(sql) === undefined ? [{ sql, slow }] : [];
      });
      expect(unlisted).toEqual([]);
    } finally {
      index.close();
    }
  });
});

it('every statement in the sources that is put together when it runs was seen', () => {
  const unseen = statementsIn(SOURCES).filter(
    ({ pattern, isWhole }) => !isWhole && !queries().some((sql) => pattern.test(sql)),
  );
  expect(unseen.map(({ file, sql }) => `${file}: ${sql}`)).toEqual([]);
});

it('every listed statement was seen', () => {
  const stale = SCANS.filter(({ sql }) => !statements().some((each) => each.startsWith(sql)));
  expect(stale).toEqual([]);
});

function plain(sql: string): string {
  return sql.replaceAll(/\s+/g, ' ').trim();
}

/** All statements: as they were seen, or as they are written. */
function statements(): string[] {
  const written = statementsIn(SOURCES).filter(({ isWhole }) => isWhole);
  return [...new Set([...queries(), ...written.map(({ sql }) => sql)])];
}

function queries(): string[] {
  return [...seen].filter((sql) => /^(SELECT|INSERT|UPDATE|DELETE|WITH)\b/.test(sql));
}

function planOf(index: Database, sql: string): string[] {
  const plan = index.prepare(`EXPLAIN QUERY PLAN ${sql}`);
  const values = Array.from({ length: sql.split('?').length - 1 }, () => 1);
  return (plan.all(...values) as { detail: string }[]).map(({ detail }) => detail);
}

function isSlow(detail: string): boolean {
  // Of a list of values, of a row of constants, of another part of the same statement.
  if (/^SCAN (json_each|CONSTANT ROW|\(subquery)/.test(detail)) return false;
  if (new RegExp(`^SCAN (${Object.keys(SMALL).join('|')})\\b`).test(detail)) return false;
  return /^SCAN |TEMP B-TREE|AUTOMATIC/.test(detail);
}

function reasonOf(sql: string): string | undefined {
  return SCANS.find((scan) => sql.startsWith(scan.sql))?.reason;
}

/** Statistics as a store of a million conversations has them. */
function pretendLarge(index: Database): void {
  index.exec('ANALYZE');
  const rows = index.prepare('SELECT rowid, stat FROM sqlite_stat1').all() as {
    rowid: number;
    stat: string;
  }[];
  const update = index.prepare('UPDATE sqlite_stat1 SET stat = ? WHERE rowid = ?');
  for (const { rowid, stat } of rows) {
    const [all = 0, ...ofKey] = stat.split(' ').map(Number);
    update.run([all * 100, ...ofKey].join(' '), rowid);
  }
  // This connection reads the changed statistics.
  index.exec('ANALYZE sqlite_schema');
}

interface Statement {
  readonly file: string;
  readonly sql: string;
  readonly pattern: RegExp;
  /** Whether nothing is put into it, or added to it. */
  readonly isWhole: boolean;
}

/** `${…}` stands for anything, and so does what is added behind. */
function statementsIn(path: string): Statement[] {
  const literal = /(['`"])\s*((?:SELECT|INSERT|UPDATE|DELETE|WITH) [\s\S]*?)\1(\s*\+)?/g;
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => {
      const found = [...readFileSync(join(path, file), 'utf8').matchAll(literal)];
      return found.flatMap(([, , text = '', more]) =>
        text.split(';').flatMap((each) => {
          const sql = plain(each);
          const pieces = sql.split(/\$\{[^}]*\}/);
          const isWhole = pieces.length === 1 && more === undefined;
          const pattern = new RegExp(`^${pieces.map(escaped).join('.*')}`);
          return sql === '' ? [] : [{ file, sql, isWhole, pattern }];
        }),
      );
    });
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
