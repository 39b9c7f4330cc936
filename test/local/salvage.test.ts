import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { openSqlite } from '../../src/backends/local/database/sqlite-driver.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { type SalvageStoreReport, salvageStore } from '../../src/recovery.ts';
import { openStore } from '../../src/store.ts';
import { append, commit, entry, put } from '../conformance/builders.ts';
import { times } from '../thorough.ts';
import { Child } from './process/child.ts';
import { compileAgent } from './process/compiled.ts';
import { Random } from './process/random.ts';
import { playHistory, type StoreState, stateAt } from './salvage-history.ts';
import { expectSound, packFiles, rejection, scratchFolder } from './support.ts';

/** Salvages what is left of a store after its index was lost. */
async function salvageFrom(path: string): Promise<{ report: SalvageStoreReport; to: string }> {
  for (const suffix of ['', '-wal', '-shm'])
    rmSync(join(path, `varve.db${suffix}`), { force: true });
  const to = join(scratchFolder(), 'new');
  const before = filesIn(path);
  const report = await salvageStore(path, to);
  expect(filesIn(path)).toEqual(before);
  return { report, to };
}

function filesIn(path: string): string[] {
  return packFiles(path).map((file) => `${file} ${statSync(file).size} ${statSync(file).mtimeMs}`);
}

const SEEDS = Array.from({ length: times(25, 300) }, (_, seed) => seed + 1);

describe('a salvage of random histories', () => {
  test.each(SEEDS)(
    'brings everything back as it was, and nothing that was deleted (seed %i)',
    async (seed) => {
      const path = scratchFolder();
      const acknowledged = await playHistory(path, new Random(seed), 30);
      const expected = await stateAt(path);
      expect(expected).toEqual(acknowledged);
      const { report, to } = await salvageFrom(path);
      expect(report).toMatchObject({
        damage: [],
        lost: [],
        isCertain: true,
        findings: [],
        manifests: expected.size,
      });
      expect(await stateAt(to)).toEqual(expected);
      // And what is salvaged can be salvaged.
      const again = await salvageFrom(to);
      expect(again.report.isCertain).toBe(true);
      expect(await stateAt(again.to)).toEqual(expected);
    },
  );

  test.each(SEEDS)(
    'with a flipped bit loses no more than that held, and says so (seed %i)',
    async (seed) => {
      const path = scratchFolder();
      const random = new Random(seed);
      await playHistory(path, random, 25);
      const expected = await stateAt(path);
      const packs = packFiles(path).filter((file) => statSync(file).size > 0);
      const pack = packs[random.below(packs.length)] as string;
      const bytes = readFileSync(pack);
      const at = random.below(bytes.length);
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      writeFileSync(pack, bytes);
      const { report, to } = await salvageFrom(path);
      expectNothingWrong(await stateAt(to), expected, report);
      if (report.isCertain) expect(await stateAt(to)).toEqual(expected);
    },
  );

  test.each(SEEDS)('without one of the packs brings nothing wrong back (seed %i)', async (seed) => {
    const path = scratchFolder();
    const random = new Random(seed);
    await playHistory(path, random, 25);
    const expected = await stateAt(path);
    // Without the newest it is an older store, whole in itself.
    const packs = packFiles(path).filter(
      (file) => statSync(file).size > 0 && file !== newestPack(path),
    );
    if (packs.length === 0) return;
    rmSync(packs[random.below(packs.length)] as string);
    const { report, to } = await salvageFrom(path);
    expectNothingWrong(await stateAt(to), expected, report);
    if (report.isCertain) expect(await stateAt(to)).toEqual(expected);
  });
});

/** The pack with the newest record of the log. */
function newestPack(path: string): string {
  const index = openSqlite(join(path, 'varve.db'), { readonly: true });
  try {
    const pack = index
      .prepare(
        'SELECT pack FROM extent JOIN block ON block.id = extent.block WHERE extent.space = ' +
          '2 ORDER BY first DESC',
      )
      .pluck()
      .get();
    return join(path, 'packs', `${String(pack).padStart(8, '0')}.pack`);
  } finally {
    index.close();
  }
}

/** What was salvaged is what was stored, and what is missing is not passed over in silence. */
function expectNothingWrong(
  state: StoreState,
  expected: StoreState,
  report: SalvageStoreReport,
): void {
  for (const [key, manifest] of state) expect(manifest, key).toEqual(expected.get(key));
  expect(report.findings).toEqual([]);
  if (state.size < expected.size) expect(report.isCertain).toBe(false);
}

const compiled = { agent: '' };
beforeAll(async () => {
  compiled.agent = await compileAgent();
});

describe('a salvage', () => {
  test.each([1, 2, 3])('after writers and a collector were killed (seed %i)', async (seed) => {
    const path = scratchFolder();
    const small = { path, packBytes: 20_000, blockBytes: 3000, forMs: 60_000 };
    const children = [
      new Child(compiled.agent, { ...small, task: 'churn', seed }),
      new Child(compiled.agent, { ...small, task: 'churn', seed: seed + 100 }),
      new Child(compiled.agent, { ...small, task: 'collect', seed }),
    ];
    await Promise.all(children.map((child) => child.says('open')));
    await new Promise((resolve) => setTimeout(resolve, 300 + 200 * seed));
    await Promise.all(children.map((child) => child.kill()));
    // What was under way happened or did not: this says which.
    const backend = await LocalBackend.open(path);
    await commit(backend, put('last', [entry('the end')]));
    await backend.close();
    const expected = await stateAt(path);
    const { report, to } = await salvageFrom(path);
    expect(report).toMatchObject({ damage: [], lost: [], isCertain: true, findings: [] });
    expect(await stateAt(to)).toEqual(expected);
  });

  test('ignores an index that is there, older, or damaged', async () => {
    const path = scratchFolder();
    const backend = await LocalBackend.open(path);
    await commit(backend, put('a', [entry('1', 'text')]));
    await backend.close();
    const kept = join(scratchFolder(), 'varve.db');
    cpSync(join(path, 'varve.db'), kept);
    const again = await LocalBackend.open(path);
    await commit(again, append('a', [entry('2', 'more')]));
    await again.close();
    const expected = await stateAt(path);
    const damaged = Buffer.alloc(100_000, 'no index');
    for (const index of [readFileSync(join(path, 'varve.db')), readFileSync(kept), damaged]) {
      writeFileSync(join(path, 'varve.db'), index);
      const to = join(scratchFolder(), 'new');
      expect(await salvageStore(path, to)).toMatchObject({ isCertain: true, manifests: 1 });
      expect(await stateAt(to)).toEqual(expected);
      expect(readFileSync(join(path, 'varve.db')).equals(index)).toBe(true);
    }
  });

  test('brings idempotency names back, and gives no id again', async () => {
    const path = scratchFolder();
    const backend = await LocalBackend.open(path);
    await commit(backend, put('empty', []));
    await commit(backend, append('empty', [entry('1')], { idempotencyKey: 'first' }));
    await commit(backend, append('empty', [entry('2')], { idempotencyKey: 'second' }));
    const { revision } = await commit(backend, put('gone', [entry('1')]));
    await backend.commit([{ operation: 'delete', key: { kind: 'conversation', id: 'gone' } }]);
    await backend.close();
    const { to } = await salvageFrom(path);
    const salvaged = await LocalBackend.open(to);
    for (const idempotencyKey of ['first', 'second']) {
      expect(
        await commit(salvaged, append('empty', [entry('x')], { idempotencyKey })),
      ).toMatchObject({
        status: 'unchanged',
      });
    }
    expect((await commit(salvaged, put('gone', [entry('1')]))).revision).not.toBe(revision);
    await salvaged.close();
    await expectSound(to);
  });

  test('names what a bad block costs, and keeps the rest', async () => {
    const path = scratchFolder();
    const backend = await LocalBackend.open(path);
    for (const id of ['a', 'b', 'c'])
      await commit(backend, put(id, [entry(`body of ${id}`, `segment of ${id}`)]));
    await backend.close();
    const expected = new Map(
      [...(await stateAt(path))].filter(([key]) => key !== 'conversation b'),
    );
    const [pack = ''] = packFiles(path);
    const bytes = readFileSync(pack);
    bytes[bytes.indexOf('body of b')] = 0;
    writeFileSync(pack, bytes);
    const { report, to } = await salvageFrom(path);
    expect(report.isCertain).toBe(false);
    expect(report.lost).toEqual([
      {
        kind: 'conversation',
        id: 'b',
        reason: expect.stringContaining('does not match its checksum'),
      },
    ]);
    expect(report.quarantine).toBeUndefined();
    expect(await stateAt(to)).toEqual(expected);
  });

  test.each([
    ['put', 2, ['after'], ['its id is lost; it may have been deleted']],
    ['delete', 3, ['put', 'after'], []],
  ])(
    'without the record of a %s never brings back what was deleted',
    async (_, number, ids, reasons) => {
      const path = scratchFolder();
      const store = await openStore(path);
      const message = (content: string) => ({ messages: [{ role: 'user', content }] });
      await store.conversations.put({ id: 'kept', ...message('to be deleted') });
      await store.conversations.put({ id: 'put', ...message('its record is lost') });
      await store.conversations.delete('kept');
      await store.conversations.put({ id: 'after', ...message('after') });
      await store.close();
      damageLogRecord(path, number);
      const { report, to } = await salvageFrom(path);
      expect([...(await stateAt(to)).keys()]).toEqual(ids.map((id) => `conversation ${id}`));
      expect(report.isCertain).toBe(false);
      expect(report.damage).toContain(`record ${number} of the log is lost`);
      expect(report.quarantine?.manifests.map(({ reason }) => reason) ?? []).toEqual(reasons);
    },
  );

  test.each([1, 2])('of a store of format %i puts its text into quarantine', async (format) => {
    const path = scratchFolder();
    cpSync(join(import.meta.dirname, 'stores', `format-${format}`), path, { recursive: true });
    const { report, to } = await salvageFrom(path);
    expect(report).toMatchObject({ manifests: 0, isCertain: false });
    expect(report.damage).toEqual([expect.stringContaining('older Varve')]);
    const { location = '', manifests = [] } = report.quarantine ?? {};
    expect(location).toBe(`${to}.quarantine`);
    expect(manifests.map(({ kind }) => kind).sort()).toEqual([
      'blob',
      ...Array.from({ length: 6 }, () => 'conversation'),
      'pin',
    ]);
    await expectSound(location);
    const store = await openStore(location, { readOnly: true });
    const lines: Uint8Array[] = [];
    for await (const line of store.exportJsonl()) lines.push(line);
    const text = Buffer.concat(lines).toString();
    for (const each of ['first', 'an answer', 'new', 'without an id']) expect(text).toContain(each);
    await store.close();
  });

  test('of an upgraded store is whole once a collection has run', async () => {
    const path = scratchFolder();
    cpSync(join(import.meta.dirname, 'stores', 'format-2'), path, { recursive: true });
    const backend = await LocalBackend.open(path);
    await backend.collect();
    await backend.close();
    const expected = await stateAt(path);
    const { report, to } = await salvageFrom(path);
    expect(report).toMatchObject({ isCertain: true, manifests: 6 });
    expect(await stateAt(to)).toEqual(expected);
  });

  test('refuses a folder that is not empty, one inside the store, and one without packs', async () => {
    const path = scratchFolder();
    const backend = await LocalBackend.open(path);
    await commit(backend, put('a', [entry('1')]));
    await backend.close();
    const full = scratchFolder();
    writeFileSync(join(full, 'mine'), 'text');
    await rejection(salvageStore(path, full), 'INVALID_ARGUMENT');
    await rejection(salvageStore(path, path), 'INVALID_ARGUMENT');
    await rejection(salvageStore(path, join(path, 'inside')), 'INVALID_ARGUMENT');
    const taken = join(scratchFolder(), 'new');
    mkdirSync(`${taken}.quarantine`);
    writeFileSync(join(`${taken}.quarantine`, 'mine'), 'text');
    await rejection(salvageStore(path, taken), 'INVALID_ARGUMENT');
    expect(existsSync(taken)).toBe(false);
    await rejection(salvageStore(full, join(scratchFolder(), 'new')), 'NOT_FOUND');
    await rejection(
      salvageStore(join(full, 'mine'), join(scratchFolder(), 'new')),
      'INVALID_ARGUMENT',
    );
  });
});

test('what a salvage that was cut off has left is not salvaged as if it were whole', async () => {
  const path = scratchFolder();
  const backend = await LocalBackend.open(path);
  await commit(backend, put('a', [entry('1')]));
  await backend.close();
  renameSync(join(path, 'varve.db'), join(path, 'varve.db.partial'));
  writeFileSync(join(path, 'varve.db'), '');
  const { message } = await rejection(
    salvageStore(path, join(scratchFolder(), 'new')),
    'INVALID_ARGUMENT',
  );
  expect(message).toContain('remove the folder, and salvage the store again');
});

/** Turns a bit of a record of the log around. */
function damageLogRecord(path: string, number: number): void {
  const index = openSqlite(join(path, 'varve.db'), { readonly: true });
  const { start, length } = index
    .prepare(
      'SELECT start, length FROM extent JOIN block ON block.id = extent.block WHERE ' +
        'extent.space = 2 AND first = ?',
    )
    .get(number) as { start: number; length: number };
  index.close();
  const [pack = ''] = packFiles(path);
  const bytes = readFileSync(pack);
  bytes[start + length - 1] = (bytes[start + length - 1] as number) ^ 1;
  writeFileSync(pack, bytes);
}
