import { randomBytes } from 'node:crypto';
import { appendFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { ManifestWrite } from '../../src/backends/contract/manifests.ts';
import { openSqlite } from '../../src/backends/local/database/sqlite-driver.ts';
import { PackReader } from '../../src/backends/local/files/pack-files.ts';
import { StoreFolder } from '../../src/backends/local/files/store-folder.ts';
import { decodeBlockDirectory } from '../../src/backends/local/format/block.ts';
import type { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { RecordStore } from '../../src/backends/local/packs/record-store.ts';
import { append, commit, contentOf, entry, put, remove, segment } from '../conformance/builders.ts';
import { times } from '../thorough.ts';
import { Random } from './process/random.ts';
import { expectSoundNow, openStore, packFiles, scratchFolder } from './support.ts';

interface Row {
  readonly id: number;
  readonly space: number;
  readonly pack: number;
  readonly start: number;
  readonly length: number;
  readonly raw: number;
  readonly records: number;
  readonly dead: number;
}

/** Compares what the index says of blocks, extents and states with what the blocks hold. */
function expectExactBooks(path: string): void {
  const index = openSqlite(join(path, 'varve.db'), { readonly: true });
  const folder = new StoreFolder(path);
  const packs = new PackReader(folder);
  try {
    const swept = new Set(
      (
        index.prepare('SELECT space, record FROM state WHERE refs = -1').all() as {
          space: number;
          record: number;
        }[]
      ).map(({ space, record }) => `${space} ${record}`),
    );
    const states = index.prepare('SELECT space, record FROM state').all() as {
      space: number;
      record: number;
    }[];
    const present = new Set<string>();
    for (const block of index.prepare('SELECT * FROM block').all() as Row[]) {
      const directory = decodeBlockDirectory(
        packs.read(block.pack, block.start, block.length),
        'test',
      );
      let dead = 0;
      directory.ids.forEach((id, slot) => {
        expect(
          present.has(`${block.space} ${id}`),
          `record ${block.space} ${id} is in two blocks`,
        ).toBe(false);
        present.add(`${block.space} ${id}`);
        if (swept.has(`${block.space} ${id}`)) dead += directory.storedLength(slot);
      });
      expect({ ...block, space: directory.space }).toMatchObject({
        space: block.space,
        raw: directory.offsets[directory.records],
        records: directory.records,
        dead,
      });
    }
    for (const { space, record } of states)
      expect(present, `state of ${space} ${record}`).toContain(`${space} ${record}`);
    // An extent names a block that is there, and one not already named by the extent before.
    const extents = index
      .prepare('SELECT space, first, block FROM extent ORDER BY space, first')
      .all() as {
      space: number;
      block: number;
    }[];
    const blocks = new Set(index.prepare('SELECT id FROM block').pluck().all());
    for (const { block } of extents) expect(blocks).toContain(block);
    expect(new Set(extents.map(({ block }) => block)).size).toBe(blocks.size);
    const sizes = index.prepare('SELECT id, size FROM pack').all() as {
      id: number;
      size: number;
    }[];
    for (const { id, size } of sizes)
      if (size > 0) expect(packs.size(id)).toBeGreaterThanOrEqual(size);
  } finally {
    packs.closeAll();
    folder.close();
    index.close();
  }
}

function randomWrites(random: Random, round: number): ManifestWrite[] {
  return Array.from({ length: 1 + random.below(5) }, (_, at): ManifestWrite => {
    const id = `c ${random.below(25)}`;
    const entries = Array.from({ length: random.below(4) }, () =>
      entry(
        random.text(random.below(30)),
        ...Array.from({ length: random.below(4) }, () => random.text(1 + random.below(3))),
      ),
    ).concat(entry(`${round} ${at}`, `segment of ${round} ${at} ${random.text(random.below(80))}`));
    const kind = random.below(10);
    if (kind < 3) return remove(id);
    if (kind < 5) return append(id, entries);
    return put(id, entries, { ifExists: 'replace' });
  });
}

describe('the books of space', () => {
  test.each([1, 2, 3])('stay exact through writes, sweeps and rewrites (seed %i)', async (seed) => {
    const path = scratchFolder();
    const random = new Random(seed);
    let now = 1_000_000;
    const options = { packBytes: 6_000, segmentBlockBytes: 1_000, bodyBlockBytes: 1_500 };
    const backend = await openStore(path, options, { clock: () => now });
    // A second reader whose caches grow old while packs are rewritten under it.
    const reader = await openStore(path, { readOnly: true });
    for (let round = 0; round < times(25, 60); round++) {
      now += 1000;
      await backend.commit(randomWrites(random, round));
      if (random.below(4) === 0) {
        await backend.collect({ graceMs: random.below(3) * 2000, full: random.below(2) === 0 });
        expectExactBooks(path);
      }
      const id = `c ${random.below(25)}`;
      expect(await contentOf(reader, id)).toEqual(await contentOf(backend, id));
    }
    await expectSoundNow(backend);
    for (let number = 0; number < 25; number++) await backend.commit([remove(`c ${number}`)]);
    await backend.collect({ graceMs: 0, full: true });
    expectExactBooks(path);
    await expectSoundNow(backend);
    const usage = await backend.usage();
    expect(usage).toMatchObject({
      segments: 0,
      segmentBytes: 0,
      garbageSegments: 0,
      garbageBytes: 0,
    });
    // The log says that there is nothing.
    expect(packFiles(path).reduce((total, file) => total + statSync(file).size, 0)).toBeLessThan(
      200,
    );
  });

  test('are exact again once a repair has brought a swept record back', async () => {
    const path = scratchFolder();
    const first = await openStore(path);
    await commit(first, put('a', [entry('1', 'kept after all', 'other')]));
    await first.close();
    const index = openSqlite(join(path, 'varve.db'));
    const length = 'kept after all'.length;
    index.prepare('INSERT INTO state VALUES (0, 0, -1, NULL)').run();
    index
      .prepare(
        'UPDATE block SET dead = ? WHERE space = 0 AND id = (SELECT min(block) FROM extent ' +
          'WHERE space = 0)',
      )
      .run(length);
    index.close();
    expectExactBooks(path);
    const backend = await openStore(path);
    for await (const finding of backend.audit({ repair: true }))
      expect(finding.repaired).toBe(true);
    expect(await contentOf(backend, 'a')).toEqual([
      { body: '1', segments: ['kept after all', 'other'] },
    ]);
    expectExactBooks(path);
    await expectSoundNow(backend);
  });
});

test('what a crash left at the end of a pack is given back by a full collection', async () => {
  const path = scratchFolder();
  const first = await openStore(path);
  await commit(first, put('a', [entry('1', 'text')]));
  await first.close();
  appendFileSync(
    packFiles(path)[0] ?? '',
    Buffer.alloc(500_000, 'what a killed process had begun'),
  );
  const backend = await openStore(path);
  await backend.collect({ graceMs: 0, full: true });
  expect((await backend.usage()).storedBytes).toBeLessThan(300_000);
  expect(await contentOf(backend, 'a')).toEqual([{ body: '1', segments: ['text'] }]);
  await expectSoundNow(backend);
});

describe('fields that are not numbers', () => {
  const wrong: [string, ManifestWrite][] = [
    ['a creation time', put('wrong', [entry('1', 's')], { fields: { createdAt: Number.NaN } })],
    [
      'an expiry',
      put('wrong', [entry('1', 's')], { fields: { expiresAt: Number.POSITIVE_INFINITY } }),
    ],
    ['a size', put('wrong', [entry('1', 's')], { fields: { logicalBytes: Number.NaN } })],
    [
      'the size of an append',
      append('right before', [entry('1', 's')], { logicalBytes: Number.NaN }),
    ],
  ];
  test.each(wrong)('(%s) fail their write and no other of the batch', async (_, write) => {
    const backend: LocalBackend = await openStore(scratchFolder());
    await commit(backend, put('right before', []));
    const [failed, created] = await backend.commit([write, put('right', [entry('1', 's')])]);
    expect(failed).toMatchObject({ status: 'failed', error: { code: 'INVALID_ARGUMENT' } });
    expect(created).toMatchObject({ status: 'created', newSegments: 1 });
    await expectSoundNow(backend);
  });
});

describe('a full collection of a large pack', () => {
  const LARGE = 300_000;
  /** A conversation that takes a block of its own, which does not compress. */
  const large = (number: number) => put(`c${number}`, [entry('b', segment(randomBytes(LARGE)))]);

  test('waits until 5 % of it are dead, but an erasure does not', async () => {
    const path = scratchFolder();
    const backend = await openStore(path);
    await backend.commit(Array.from({ length: 30 }, (_, number) => large(number)));
    const full = { graceMs: 0, full: true } as const;
    await commit(backend, remove('c3'));
    const waiting = await backend.collect(full);
    expect(waiting).toMatchObject({ collectedSegments: 1, rewrittenPacks: 0, freedBytes: 0 });
    expect(waiting.deadBytes).toBeGreaterThan(LARGE);
    await commit(backend, remove('c4'));
    const whole = vi.spyOn(RecordStore.prototype, 'readBlock');
    onTestFinished(() => whole.mockRestore());
    const worth = await backend.collect(full);
    expect(worth).toMatchObject({ rewrittenPacks: 1, deadBytes: 0 });
    expect(worth.freedBytes).toBeGreaterThan(2 * LARGE - 10_000);
    // What is full and alive is copied as it is.
    expect(whole).toHaveBeenCalledTimes(28);
    await commit(backend, remove('c5'));
    expect(await backend.collect(full)).toMatchObject({ rewrittenPacks: 0 });
    const erased = await backend.collect({ erase: true });
    expect(erased).toMatchObject({ remnants: [], deadBytes: 0, isComplete: true });
    expect(erased.freedBytes).toBeGreaterThan(LARGE - 10_000);
    expectExactBooks(path);
    await expectSoundNow(backend);
  });
});
