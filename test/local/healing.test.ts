import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Finding } from '../../src/backends/contract/audit.ts';
import { openSqlite } from '../../src/backends/local/database/sqlite-driver.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import {
  commit,
  contentOf,
  entry,
  put,
  remove,
  segment,
  withoutBytes,
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

const texts = Array.from({ length: 12 }, (_, number) => `segment ${number} `.repeat(3 + number));

/**
 * Conversations 'a', 'b' and 'c' that share segments of one block; every third segment is b's
 * alone.
 */
async function sharingStore(): Promise<string> {
  const path = scratchFolder();
  const backend = await LocalBackend.open(path);
  await backend.commit([
    put('a', [entry('body of a', ...texts)]),
    put('b', [entry('body of b', ...texts.slice(0, 6), 'only in b')]),
    put('c', [entry('body of c', 'only in c')]),
  ]);
  await backend.close();
  return path;
}

/** Flips a bit near the end of the payload of the first block of segments. */
function damageSegments(path: string): void {
  const index = openSqlite(join(path, 'varve.db'), { readonly: true });
  const { start, length } = index
    .prepare('SELECT start, length FROM block WHERE space = 0 ORDER BY id LIMIT 1')
    .get() as {
    start: number;
    length: number;
  };
  index.close();
  const [pack = ''] = packFiles(path);
  const bytes = readFileSync(pack);
  bytes[start + length - 3] = (bytes[start + length - 3] as number) ^ 4;
  writeFileSync(pack, bytes);
}

const corrupt = (findings: readonly Finding[]) =>
  findings.filter(({ kind, address }) => kind === 'corrupt-data' && address !== undefined);

describe('a damaged segment', () => {
  test('is healed by the next put of the same bytes after a repair has marked it, for all who reference it', async () => {
    const path = await sharingStore();
    damageSegments(path);
    const found = corrupt(await auditAfresh(path));
    expect(found).toHaveLength(14);
    expect(found[0]).toEqual({
      kind: 'corrupt-data',
      message: `segment ${segment(texts[0] ?? '').address} is damaged: its block cannot be read`,
      address: segment(texts[0] ?? '').address,
      manifests: [
        { kind: 'conversation', id: 'a' },
        { kind: 'conversation', id: 'b' },
      ],
      repair: 'mark it, so that the next put of the same bytes heals it',
      repaired: false,
      harmful: true,
    });
    for (let run = 0; run < 2; run++) {
      const marked = corrupt(await auditAfresh(path, { repair: true }));
      expect(marked).toHaveLength(14);
      expect(
        marked.every(
          ({ repaired, repair }) => !repaired && repair.startsWith('none: it is marked'),
        ),
      ).toBe(true);
    }
    const backend = await openStore(path);
    await rejection(contentOf(backend, 'a'), 'CORRUPT');
    // Another conversation with the same content, one segment short.
    await commit(backend, put('d', [entry('body of d', ...texts.slice(1))]));
    expect(await contentOf(backend, 'd')).toEqual([
      { body: 'body of d', segments: texts.slice(1) },
    ]);
    await rejection(contentOf(backend, 'a'), 'CORRUPT');
    await commit(backend, put('e', [entry('body of e', texts[0] ?? '')]));
    expect(await contentOf(backend, 'a')).toEqual([{ body: 'body of a', segments: texts }]);
    await rejection(contentOf(backend, 'b'), 'CORRUPT');
    // To put again what is there already is enough.
    expect(
      await commit(backend, put('b', [entry('body of b', ...texts.slice(0, 6), 'only in b')])),
    ).toMatchObject({
      status: 'unchanged',
    });
    expect(await commit(backend, put('c', [entry('body of c', 'only in c')]))).toMatchObject({
      status: 'unchanged',
    });
    for (const [id, segments] of [
      ['b', [...texts.slice(0, 6), 'only in b']],
      ['c', ['only in c']],
    ] as const) {
      expect(await contentOf(backend, id)).toEqual([{ body: `body of ${id}`, segments }]);
    }
    await expectSound(path);
    // The damaged copies are dead space that a collection gives back.
    const { rewrittenPacks } = await backend.collect({ graceMs: 0, full: true });
    expect(rewrittenPacks).toBe(1);
    await expectSound(path);
    for (const id of ['a', 'b', 'c', 'd'])
      expect((await contentOf(backend, id))?.[0]?.body).toBe(`body of ${id}`);
    expect(await backend.usage()).toMatchObject({ segments: 14 });
  });

  test('is not healed by a writer that has no bytes of it, and not by chance', async () => {
    const path = await sharingStore();
    damageSegments(path);
    await auditAfresh(path, { repair: true });
    const backend = await openStore(path);
    await commit(
      backend,
      put('d', [entry('d', withoutBytes(segment(texts[0] ?? '')), 'something else')]),
    );
    await rejection(contentOf(backend, 'a'), 'CORRUPT');
    const wrong = { ...segment(texts[0] ?? ''), bytes: () => Buffer.from('other bytes') };
    const [refused] = await backend.commit([put('e', [entry('e', wrong)])]);
    expect(refused).toMatchObject({ status: 'failed' });
    await rejection(contentOf(backend, 'a'), 'CORRUPT');
  });

  test('is healed in any order, in any parts, between deletions and collections', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({ at: fc.nat(11), count: fc.integer({ min: 1, max: 5 }), after: fc.nat(4) }),
          {
            maxLength: 10,
          },
        ),
        async (steps) => {
          const path = await sharingStore();
          damageSegments(path);
          await auditAfresh(path, { repair: true });
          const backend = await LocalBackend.open(path);
          for (const [number, { at, count, after }] of steps.entries()) {
            await commit(backend, put(`n${number}`, [entry('n', ...texts.slice(at, at + count))]));
            if (after === 0) await backend.collect({ graceMs: 0, full: true });
            if (after === 1) await commit(backend, remove(`n${number}`));
            if (after === 2) await commit(backend, remove('b'));
          }
          await commit(backend, put('a', [entry('body of a', ...texts)]));
          await commit(backend, put('b', [entry('body of b', ...texts.slice(0, 6), 'only in b')]));
          await commit(backend, put('c', [entry('body of c', 'only in c')]));
          expect(await contentOf(backend, 'a')).toEqual([{ body: 'body of a', segments: texts }]);
          expect((await contentOf(backend, 'b'))?.[0]?.segments).toEqual([
            ...texts.slice(0, 6),
            'only in b',
          ]);
          expect(await contentOf(backend, 'c')).toEqual([
            { body: 'body of c', segments: ['only in c'] },
          ]);
          await backend.collect({ graceMs: 0, full: true });
          await backend.close();
          await expectSound(path);
        },
      ),
      { numRuns: times(6, 25), seed: 11 },
    );
  });

  test('is seen healed by other processes at once', async () => {
    const path = await sharingStore();
    damageSegments(path);
    await auditAfresh(path, { repair: true });
    const [reader, writer] = [await openStore(path), await openStore(path)];
    await rejection(contentOf(reader, 'c'), 'CORRUPT');
    await commit(writer, put('c', [entry('body of c', 'only in c')]));
    expect(await contentOf(reader, 'c')).toEqual([{ body: 'body of c', segments: ['only in c'] }]);
    await rejection(contentOf(reader, 'b'), 'CORRUPT');
  });
});
