import { readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Finding } from '../../src/backends/contract/audit.ts';
import { openSqlite } from '../../src/backends/local/database/sqlite-driver.ts';
import { encodeBlock } from '../../src/backends/local/format/block.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { Store } from '../../src/store.ts';
import { commit, contentOf, entry, put } from '../conformance/builders.ts';
import { Child } from './process/child.ts';
import { compileAgent } from './process/compiled.ts';
import {
  ADDRESS,
  alter,
  BODY_BLOCK_OF_B,
  blockOf,
  KEY,
  packPath,
  rewriteBytes,
  SEGMENT_BLOCK_OF_B,
  smallStore,
  TEXT,
} from './small-store.ts';
import { auditAfresh, openStore, scratchFolder } from './support.ts';

/**
 * Stores damaged on purpose, one for each kind of finding, and the whole report of an audit of
 * each.
 */

const compiled = { agent: '' };
beforeAll(async () => {
  compiled.agent = await compileAgent();
});

/** The findings, and those of a repair, and those after it. */
async function reports(
  path: string,
): Promise<{ found: Finding[]; repairing: Finding[]; after: Finding[] }> {
  const found = await auditAfresh(path);
  const repairing = await auditAfresh(path, { repair: true });
  return { found, repairing, after: await auditAfresh(path) };
}

function repairedOf(findings: readonly Finding[]): Finding[] {
  return findings.map((finding) => ({ ...finding, repaired: true }));
}

describe('the report of an audit', () => {
  test('of corrupt data names the block, the segments in it, who needs them and what heals them', async () => {
    const path = await smallStore();
    const { start, length } = blockOf(path, SEGMENT_BLOCK_OF_B);
    rewriteBytes(path, (pack) => {
      pack[start + length - 1] = (pack[start + length - 1] as number) ^ 1;
    });
    const { found, repairing, after } = await reports(path);
    const where = `${packPath(path)} at byte ${start}`;
    const block: Finding = {
      kind: 'corrupt-data',
      message: `a block of segments cannot be read: ${where}: the block does not match its checksum`,
      location: where,
      manifests: [],
      repair: 'none',
      repaired: false,
      harmful: true,
    };
    const inIt: Finding = {
      kind: 'corrupt-data',
      message: `segment ${ADDRESS.b} is damaged: its block cannot be read`,
      address: ADDRESS.b,
      manifests: [KEY.b],
      repair: 'mark it, so that the next put of the same bytes heals it',
      repaired: false,
      harmful: true,
    };
    expect(found).toEqual([block, inIt]);
    const marked = {
      ...inIt,
      repair: 'none: it is marked, and the next put of the same bytes heals it',
    };
    expect(repairing).toEqual([block, marked]);
    expect(after).toEqual([block, marked]);
    const backend = await LocalBackend.open(path);
    await commit(backend, put('b', [entry('body of b', TEXT.b)]));
    expect(await contentOf(backend, 'b')).toEqual([{ body: 'body of b', segments: [TEXT.b] }]);
    await backend.close();
    expect(await auditAfresh(path)).toEqual([]);
  });

  test('of a segment whose bytes are not its own', async () => {
    const path = await smallStore();
    // A block that is sound in itself, with other text under the address.
    const { start, length } = blockOf(path, SEGMENT_BLOCK_OF_B);
    const record = { id: 1, bytes: Buffer.from('segment of c'), tokens: false, address: ADDRESS.b };
    const block = encodeBlock(0, [record], 5);
    expect(block).toHaveLength(length);
    rewriteBytes(path, (pack) => block.copy(pack, start));
    const { found, after } = await reports(path);
    expect(found).toEqual([
      {
        kind: 'corrupt-data',
        message: `segment ${ADDRESS.b} is damaged: its bytes have another hash`,
        address: ADDRESS.b,
        manifests: [KEY.b],
        repair: 'mark it, so that the next put of the same bytes heals it',
        repaired: false,
        harmful: true,
      },
    ]);
    expect(after).toHaveLength(1);
    const backend = await LocalBackend.open(path);
    await backend.collect({ graceMs: 0, full: true });
    await commit(backend, put('again', [entry('body', TEXT.b)]));
    expect(await contentOf(backend, 'b')).toEqual([{ body: 'body of b', segments: [TEXT.b] }]);
    await backend.close();
    expect(await auditAfresh(path)).toEqual([]);
  });

  test('of a corrupt manifest names it', async () => {
    const path = await smallStore();
    const { start, length } = blockOf(path, BODY_BLOCK_OF_B);
    rewriteBytes(path, (pack) => {
      pack[start + length - 1] = (pack[start + length - 1] as number) ^ 1;
    });
    const { found, repairing, after } = await reports(path);
    const where = `${packPath(path)} at byte ${start}`;
    const reason = `${where}: the block does not match its checksum`;
    const common = { repair: 'none', repaired: false, harmful: true };
    expect(found).toEqual([
      {
        kind: 'corrupt-data',
        message: `a block of manifests cannot be read: ${reason}`,
        location: where,
        manifests: [],
        ...common,
      },
      {
        kind: 'corrupt-manifest',
        message: `manifest "b" cannot be read: ${reason}`,
        manifests: [KEY.b],
        ...common,
      },
    ]);
    expect(repairing).toEqual(found);
    expect(after).toEqual(found);
  });

  test('of a body that is another manifest\u2019s', async () => {
    const path = await smallStore();
    alter(path, "UPDATE manifest SET body = 1 WHERE name = CAST('a' AS BLOB)");
    const { found } = await reports(path);
    const reason = 'the index is damaged: manifest body 1 is not of conversation "a"';
    expect(found).toEqual([
      {
        kind: 'corrupt-manifest',
        message: `manifest "a" cannot be read: ${reason}`,
        manifests: [KEY.a],
        repair: 'none',
        repaired: false,
        harmful: true,
      },
    ]);
  });

  test('of a pack that is missing', async () => {
    const path = await smallStore();
    renameSync(packPath(path), `${path}.kept`);
    const found = await auditAfresh(path);
    const missing =
      `${packPath(path)} is missing: restore it from a copy, or run an audit to see what it ` +
      'held';
    const common = { repair: 'none', repaired: false, harmful: true };
    const blockMissing = (id: number, what: string): Finding => ({
      kind: 'missing-data',
      message: `a block of ${what} cannot be read: ${missing}`,
      location: `${packPath(path)} at byte ${blockOf(path, id).start}`,
      manifests: [],
      ...common,
    });
    const broken = (id: 'a' | 'b'): Finding => ({
      kind: 'corrupt-manifest',
      message: `manifest "${id}" cannot be read: ${missing}`,
      manifests: [KEY[id]],
      ...common,
    });
    expect(found).toEqual([
      blockMissing(1, 'segments'),
      blockMissing(2, 'manifests'),
      blockMissing(3, 'the log'),
      blockMissing(4, 'segments'),
      blockMissing(5, 'manifests'),
      blockMissing(6, 'the log'),
      broken('a'),
      broken('b'),
    ]);
    renameSync(`${path}.kept`, packPath(path));
    expect(await auditAfresh(path)).toEqual([]);
  });

  test('of a segment that no block holds', async () => {
    const path = await smallStore();
    alter(path, 'DELETE FROM extent WHERE space = 0 AND first = 1');
    alter(path, 'DELETE FROM block WHERE id = ?', SEGMENT_BLOCK_OF_B);
    const found = await auditAfresh(path);
    expect(found).toEqual([
      {
        kind: 'missing-data',
        message: 'segment record 1 is referenced, but no readable block holds it',
        manifests: [KEY.b],
        repair: 'none',
        repaired: false,
        harmful: true,
      },
    ]);
  });

  test('of a block that the index does not lead to', async () => {
    const path = await smallStore();
    alter(path, 'DELETE FROM extent WHERE space = 0 AND first = 1');
    const found = await auditAfresh(path);
    expect(found.map(({ kind, message }) => ({ kind, message }))).toEqual([
      {
        kind: 'missing-data',
        message: 'segment record 1 is in block 4, but the index does not lead there',
      },
      {
        kind: 'missing-data',
        message: 'segment record 1 is referenced, but no readable block holds it',
      },
    ]);
  });

  test.each([
    ['over-counted', 'INSERT INTO state VALUES (0, 0, 5, NULL)', 'has a count of 5'],
    ['under-counted', 'INSERT INTO state VALUES (0, 0, 0, 1)', 'has a count of 0'],
    ['taken for collected', 'INSERT INTO state VALUES (0, 0, -1, NULL)', 'is marked as collected'],
  ])('of a segment %s', async (_, sql, counted) => {
    const path = await smallStore();
    alter(path, sql);
    const { found, repairing, after } = await reports(path);
    const expected: Finding = {
      kind: 'wrong-count',
      message: `segment record 0 ${counted}, but 1 manifest entry references it`,
      address: ADDRESS.a,
      manifests: [],
      repair: 'count the references that the manifests have',
      repaired: false,
      harmful: false,
    };
    expect(found).toEqual([expected]);
    expect(repairing).toEqual(repairedOf([expected]));
    expect(after).toEqual([]);
  });

  test('of what leaks because its manifest is gone', async () => {
    const path = await smallStore();
    alter(path, "DELETE FROM manifest WHERE name = CAST('b' AS BLOB)");
    const { found, repairing, after } = await reports(path);
    const common = {
      manifests: [],
      repair: 'count the references that the manifests have',
      repaired: false,
      harmful: false,
    };
    expect(found).toEqual([
      {
        kind: 'wrong-count',
        message: 'segment record 1 has a count of 1, but 0 manifest entries reference it',
        address: ADDRESS.b,
        ...common,
      },
      {
        kind: 'wrong-count',
        message: 'manifest body record 1 has a count of 1, but 0 manifest entries reference it',
        ...common,
      },
    ]);
    expect(repairing).toEqual(repairedOf(found));
    expect(after).toEqual([]);
    const backend = await openStore(path);
    expect(await backend.collect({ graceMs: 0 })).toMatchObject({ collectedSegments: 1 });
  });

  test('of a file that is nobody\u2019s', async () => {
    const path = await smallStore();
    const stray = join(path, 'packs', '00000077.pack');
    writeFileSync(stray, 'left by nobody');
    const { found, repairing, after } = await reports(path);
    const expected: Finding = {
      kind: 'orphaned-data',
      message: `${stray} does not belong to the store`,
      location: stray,
      manifests: [],
      repair: 'remove the file',
      repaired: false,
      harmful: false,
    };
    expect(found).toEqual([expected]);
    expect(repairing).toEqual(repairedOf([expected]));
    expect(after).toEqual([]);
  });

  test('of what a lookup does not find', async () => {
    const path = await smallStore();
    alter(path, 'DELETE FROM run');
    const { found, repairing, after } = await reports(path);
    const common = { repair: 'add it to the index', repaired: false };
    const segments = (['a', 'b'] as const).map((id) => ({
      kind: 'unindexed',
      message:
        `segment ${ADDRESS[id]} is stored, but a lookup does not find it, so it would be ` +
        'stored again',
      address: ADDRESS[id],
      manifests: [],
      harmful: false,
      ...common,
    }));
    const manifests = (['a', 'b'] as const).map((id) => ({
      kind: 'unindexed',
      message: `manifest "${id}" is stored, but a lookup does not find it`,
      manifests: [KEY[id]],
      harmful: true,
      ...common,
    }));
    expect(found).toEqual([...segments, ...manifests]);
    expect(repairing).toEqual(repairedOf(found));
    expect(after).toEqual([]);
  });

  test('of an upload whose process is gone', async () => {
    const path = scratchFolder();
    const uploader = new Child(compiled.agent, { path, task: 'publish', to: 1 });
    await uploader.says('entry 0 11');
    await uploader.kill();
    const { found, repairing, after } = await reports(path);
    const expected: Finding = {
      kind: 'stale-writer',
      message: expect.stringMatching(
        /^upload [0-9a-f-]{36}\/[0-9a-f-]{36} was cut off: its process is gone$/,
      ) as string,
      location: 'manifest row 1',
      manifests: [],
      repair: 'delete what it has stored, as a collection does',
      repaired: false,
      harmful: false,
    };
    expect(found).toEqual([expected]);
    expect(repairing).toEqual(repairedOf([expected]));
    expect(after).toEqual([]);
  });

  test('of an index that SQLite finds damaged reports nothing else', async () => {
    const path = await smallStore();
    const index = openSqlite(join(path, 'varve.db'));
    const root = index
      .prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'block_pack'")
      .pluck()
      .get() as number;
    const pageSize = index.prepare('PRAGMA page_size').pluck().get() as number;
    index.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    index.close();
    const file = join(path, 'varve.db');
    const bytes = readFileSync(file);
    bytes.fill(0x5a, (root - 1) * pageSize, root * pageSize);
    writeFileSync(file, bytes);
    const found = await auditAfresh(path);
    expect(found.length).toBeGreaterThan(0);
    for (const finding of found) {
      expect(finding).toEqual({
        kind: 'corrupt-data',
        message: expect.stringMatching(
          /^the index is damaged: .*; rebuild the store from its packs with varve salvage$/,
        ),
        location: file,
        manifests: [],
        repair: 'none',
        repaired: false,
        harmful: true,
      });
    }
    expect(await auditAfresh(path, { repair: true })).toEqual(found);
  });

  test('of a pack cut short names what is behind the cut', async () => {
    const path = await smallStore();
    const { start } = blockOf(path, BODY_BLOCK_OF_B);
    truncateSync(packPath(path), start + 1);
    expect((await auditAfresh(path)).map(({ kind, manifests }) => ({ kind, manifests }))).toEqual([
      { kind: 'corrupt-data', manifests: [] },
      { kind: 'corrupt-data', manifests: [] },
      { kind: 'corrupt-manifest', manifests: [KEY.b] },
    ]);
  });
});

describe('a deep audit', () => {
  async function deepFindings(backend: LocalBackend): Promise<Finding[]> {
    const findings: Finding[] = [];
    for await (const finding of new Store(backend).audit({ deep: true })) findings.push(finding);
    return findings;
  }

  test('finds what is sound to the backend and makes no sense above it', async () => {
    const backend = await openStore(scratchFolder());
    const store = new Store(backend);
    await store.conversations.put({
      id: 'good',
      messages: [{ role: 'user', content: 'x'.repeat(2000) }],
    });
    await store.blobs.put('good blob', [Buffer.alloc(100_000, 'blob')]);
    await store.segments.put(Buffer.from('pinned'));
    expect(await deepFindings(backend)).toEqual([]);
    await commit(backend, put('bad', [entry('not a body of a conversation', 'text')]));
    await commit(
      backend,
      put({ kind: 'blob', id: 'bad blob' }, [entry('not a body of a blob', 'text')]),
    );
    const shallow: Finding[] = [];
    for await (const finding of store.audit()) shallow.push(finding);
    expect(shallow).toEqual([]);
    expect(await deepFindings(backend)).toEqual(
      [KEY_OF('conversation', 'bad'), KEY_OF('blob', 'bad blob')].map((key) => ({
        kind: 'corrupt-manifest',
        message: expect.stringContaining(
          `${key.kind} ${JSON.stringify(key.id)} cannot be rebuilt: `,
        ),
        manifests: [key],
        repair: 'none',
        repaired: false,
        harmful: true,
      })),
    );
  });

  test('reports nothing twice', async () => {
    const path = await smallStore();
    const { start, length } = blockOf(path, BODY_BLOCK_OF_B);
    rewriteBytes(path, (pack) => {
      pack[start + length - 1] = (pack[start + length - 1] as number) ^ 1;
    });
    const findings = await deepFindings(await openStore(path));
    expect(findings.filter(({ manifests }) => manifests.some(({ id }) => id === 'b'))).toHaveLength(
      1,
    );
  });
});

const KEY_OF = (kind: 'conversation' | 'blob', id: string) => ({ kind, id }) as const;
