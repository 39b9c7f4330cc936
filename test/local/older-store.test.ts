import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openSqlite } from '../../src/backends/local/database/sqlite-driver.ts';
import { WriterLock } from '../../src/backends/local/database/writer-lock.ts';
import { FORMAT_VERSION } from '../../src/backends/local/format/schema.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { addressOf } from '../../src/core/address.ts';
import { openStore as openWhole, type Store } from '../../src/store.ts';
import { commit, entry, expectFailed, hold, put, remove } from '../conformance/builders.ts';
import { olderLines } from '../older-content.ts';
import { expectSound, openStore, rejection, scratchFolder } from './support.ts';

/**
 * Stores as the last code of each older format wrote them, all with the same content; see
 * `test/local/stores/README.md`.
 */
const FORMATS = [1, 2];

function olderStore(format: number): string {
  const path = scratchFolder();
  cpSync(join(import.meta.dirname, 'stores', `format-${format}`), path, { recursive: true });
  return path;
}

function versionOf(path: string): unknown {
  const index = openSqlite(join(path, 'varve.db'), { readonly: true });
  try {
    return index.prepare('PRAGMA user_version').pluck().get();
  } finally {
    index.close();
  }
}

async function textOf(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all).toString();
}

async function contentOf(store: Store): Promise<{ lines: string; raw: string; blobs: string[] }> {
  const raw = await store.segments.get(addressOf(Buffer.from('raw bytes')));
  const blobs = (await collected(store.blobs.list())).map(({ name, bytes }) => `${name} ${bytes}`);
  return {
    lines: await textOf(store.exportJsonl()),
    raw: Buffer.from(raw ?? []).toString(),
    blobs,
  };
}

async function collected<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** What the stores hold, written down without the code that reads them. */
const LONG = (text: string) => `${text} `.repeat(150);
const LINES = olderLines(LONG);
const CONTENT = { lines: LINES, raw: 'raw bytes', blobs: ['a-blob 100000'] };

describe.each(FORMATS)('a store of format %i', (format) => {
  it('is read as it is', async () => {
    const path = olderStore(format);
    const before = readFileSync(join(path, 'varve.db'));
    const store = await openWhole(path, { readOnly: true });
    expect(await contentOf(store)).toEqual(CONTENT);
    expect(await collected(store.conversations.holds.list())).toHaveLength(format === 1 ? 0 : 1);
    expect(await collected(store.audit())).toEqual([]);
    expect(await store.backend.reports.list()).toEqual([]);
    await store.close();
    expect(versionOf(path)).toBe(format);
    expect(readFileSync(join(path, 'varve.db')).equals(before)).toBe(true);
  });

  it('is upgraded by the first who may write', async () => {
    const path = olderStore(format);
    const store = await openWhole(path);
    expect(versionOf(path)).toBe(FORMAT_VERSION);
    expect(await contentOf(store)).toEqual(CONTENT);
    const again = [{ role: 'assistant', content: 'again' }];
    expect(
      await store.conversations.append('appended', again, { idempotencyKey: 'once' }),
    ).toMatchObject({
      status: 'unchanged',
    });
    await store.gc.run({ grace: 0, full: true });
    expect(await contentOf(store)).toEqual(CONTENT);
    await store.close();
    await expectSound(path);
  });

  it('is afterwards what a new one is', async () => {
    const upgraded = olderStore(format);
    const fresh = scratchFolder();
    const schemas: unknown[] = [];
    for (const path of [upgraded, fresh]) {
      await (await LocalBackend.open(path)).close();
      const index = openSqlite(join(path, 'varve.db'), { readonly: true });
      const rows = index.prepare(
        'SELECT type, name, trim(sql) AS sql FROM sqlite_schema WHERE name NOT LIKE ' +
          "'sqlite_%' ORDER BY name",
      );
      schemas.push(rows.all());
      index.close();
    }
    expect(schemas[0]).toEqual(schemas[1]);
  });

  it('keeps holds, reports and leases from then on, in every process', async () => {
    const path = olderStore(format);
    const backend = await openStore(path);
    const other = await openStore(path);
    expect(await commit(backend, hold('appended', true, 'why'))).toMatchObject({ status: 'held' });
    expectFailed((await other.commit([remove('appended')]))[0], 'HELD');
    await backend.reports.add({ time: 1, body: 'first' });
    expect(await other.reports.list()).toEqual([{ time: 1, body: 'first' }]);
    expect(await backend.lease('gc', 60_000)).toBeDefined();
    expect(await other.lease('gc', 60_000)).toBeUndefined();
  });

  it('is backed up by who may only read', async () => {
    const backend = await openStore(olderStore(format), { readOnly: true });
    const folder = scratchFolder();
    await backend.backup(folder);
    expect(versionOf(folder)).toBe(format);
    await expectSound(folder);
  });

  it('is not upgraded under a process that may write to it', async () => {
    const path = olderStore(format);
    const lock = new WriterLock(path);
    const error = await rejection(LocalBackend.open(path, { lockTimeoutMs: 200 }), 'BUSY');
    expect(error.message).toMatch(new RegExp(`format ${format}.*older Varve: close that process`));
    expect(versionOf(path)).toBe(format);
    lock.release();
    await (await LocalBackend.open(path)).close();
    expect(versionOf(path)).toBe(FORMAT_VERSION);
  });
});

describe('an upgrade is a fence', () => {
  it('for a process of an older version that has the store open, at its next transaction', async () => {
    const path = olderStore(2);
    // The statements with which format 2 began a transaction, prepared before.
    const old = openSqlite(join(path, 'varve.db'));
    const read = old.prepare("SELECT value FROM meta WHERE key = 'runs'");
    const transact = (begin: string) => {
      old.exec(begin);
      try {
        return read.pluck().get();
      } finally {
        old.exec('ROLLBACK');
      }
    };
    expect(transact('BEGIN IMMEDIATE')).toEqual(expect.any(Number));
    await openStore(path);
    for (const begin of ['BEGIN', 'BEGIN IMMEDIATE'])
      expect(() => transact(begin)).toThrow('no such table: meta');
    old.close();
  });

  it('for a process of this version, from the next format on', async () => {
    const path = scratchFolder();
    const backend = await openStore(path);
    await commit(backend, put('a', [entry('1', 'text')]));
    const later = openSqlite(join(path, 'varve.db'));
    later.exec(`PRAGMA user_version = ${FORMAT_VERSION + 1}`);
    for (const attempt of [
      () => backend.commit([put('b', [entry('1')])]),
      () => backend.heads([{ kind: 'conversation', id: 'a' }]),
      () => backend.reports.add({ time: 1, body: 'x' }),
      () => backend.collect(),
    ]) {
      expect((await rejection(attempt(), 'UNSUPPORTED_FORMAT')).message).toContain('open it again');
    }
    later.exec(`PRAGMA user_version = ${FORMAT_VERSION}`);
    later.close();
    expect((await backend.heads([{ kind: 'conversation', id: 'b' }]))[0]).toBeUndefined();
  });

  it('and waits for whoever has opened the store for writing', async () => {
    const path = scratchFolder();
    const locks = () => readdirSync(join(path, 'locks'));
    const backend = await LocalBackend.open(path);
    expect(locks()).toHaveLength(1);
    const reader = await openStore(path, { readOnly: true });
    expect(locks()).toHaveLength(1);
    await backend.close();
    expect(locks()).toEqual([]);
    await reader.close();
  });
});
