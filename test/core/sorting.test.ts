import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { isVarveError } from '../../src/core/errors.ts';
import { LineSorter } from '../../src/core/sorting/line-sorter.ts';
import { TemporaryFolder } from '../../src/core/sorting/temporary-folder.ts';
import { TextLog } from '../../src/core/sorting/text-log.ts';
import { SystemRandomness } from '../../src/core/system/system-clock.ts';

const parent = mkdtempSync(join(tmpdir(), 'varve-sorting-'));
afterAll(() => rmSync(parent, { recursive: true }));

const randomness = new SystemRandomness();
const LINES = fc.array(fc.stringMatching(/^[ -~]{0,12}$/), { maxLength: 60 });

async function sorterOf(
  folder: TemporaryFolder,
  lines: readonly string[],
  most: number,
): Promise<LineSorter> {
  const sorter = new LineSorter(folder, most, randomness);
  for (const line of lines) {
    sorter.add(line);
    if (sorter.isFull) await sorter.makeRoom();
  }
  return sorter;
}

function withFolder<Result>(work: (folder: TemporaryFolder) => Promise<Result>): Promise<Result> {
  const folder = new TemporaryFolder(parent);
  return work(folder).finally(() => folder.remove());
}

test('lines come out sorted, however few fit in memory', async () => {
  await fc.assert(
    fc.asyncProperty(LINES, fc.integer({ min: 0, max: 70 }), (lines, most) =>
      withFolder(async (folder) => {
        const sorter = await sorterOf(folder, lines, most);
        expect(sorter.runs).toHaveLength(Math.floor(lines.length / (most + 1)));
        expect([...sorter.sorted()]).toEqual(lines.toSorted());
        expect([...sorter.sorted()]).toEqual(lines.toSorted());
      }),
    ),
    { numRuns: 100 },
  );
});

test('many lines fill many blocks', () =>
  withFolder(async (folder) => {
    const lines = Array.from({ length: 40_000 }, (_, at) => `${(at * 7919) % 40_000} of many`);
    const sorter = await sorterOf(folder, lines, 15_000);
    expect(sorter.runs.map(({ blocks }) => blocks > 2)).toEqual([true, true]);
    expect([...sorter.sorted()]).toEqual(lines.toSorted());
  }));

test('a damaged run is an error, and never a missing line', async () => {
  const damages = fc.record({
    lines: fc.array(fc.stringMatching(/^[ -~]{1,12}$/), { minLength: 12, maxLength: 60 }),
    run: fc.nat(),
    how: fc.oneof(
      fc.record({ flip: fc.nat() }),
      fc.record({ cut: fc.nat() }),
      fc.constant({ exchange: true }),
      fc.constant({ delete: true }),
    ),
  });
  await fc.assert(
    fc.asyncProperty(damages, ({ lines, run, how }) =>
      withFolder(async (folder) => {
        const sorter = await sorterOf(folder, lines, 5);
        const files = sorter.runs.map(({ file }) => file);
        const file = files[run % files.length] as string;
        const bytes = readFileSync(file);
        if ('flip' in how) {
          const at = how.flip % bytes.length;
          bytes[at] = (bytes[at] as number) ^ 1;
          writeFileSync(file, bytes);
        } else if ('cut' in how) writeFileSync(file, bytes.subarray(0, how.cut % bytes.length));
        else if ('delete' in how) rmSync(file);
        else {
          const other = files[(run + 1) % files.length] as string;
          writeFileSync(file, readFileSync(other));
        }
        expect(() => [...sorter.sorted()]).toThrow(
          expect.toSatisfy((error) => isVarveError(error, 'IO')),
        );
      }),
    ),
    { numRuns: 100 },
  );
});

test('texts are found by their position, in memory and in the file', async () => {
  const texts = fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.boolean()), {
    maxLength: 40,
  });
  await fc.assert(
    fc.asyncProperty(texts, (added) =>
      withFolder(async (folder) => {
        const log = new TextLog(folder, randomness);
        const positions = added.map(([text, stores]) => {
          const position = log.add(text);
          if (stores) log.store();
          return position;
        });
        expect(positions.map((position) => log.at(position))).toEqual(added.map(([text]) => text));
      }),
    ),
    { numRuns: 100 },
  );
});

test('a damaged text is an error', () =>
  withFolder(async (folder) => {
    const log = new TextLog(folder, randomness);
    const positions = ['one', 'two'].map((text) => log.add(text));
    log.store();
    const [name = ''] = readdirSync(join(folder.file('x'), '..'));
    const file = folder.file(name);
    const whole = readFileSync(file);
    for (let at = 0; at < whole.length; at++) {
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] as number) ^ 1;
      writeFileSync(file, bytes);
      expect(() => positions.map((position) => log.at(position))).toThrow('is damaged');
    }
  }));

test('a temporary folder is made when it is needed, for its owner alone, and removed', () => {
  const folder = new TemporaryFolder(parent);
  folder.remove();
  expect(readdirSync(parent)).toEqual([]);
  const path = join(folder.file('a'), '..');
  if (process.platform !== 'win32') expect(statSync(path).mode & 0o777).toBe(0o700);
  expect(process.listenerCount('exit')).toBeGreaterThan(0);
  folder.remove();
  expect(existsSync(path)).toBe(false);
});

test('the errors of a temporary folder name it, and say what to do', () => {
  const missing = new TemporaryFolder(join(parent, 'missing'));
  expect(() => missing.file('a')).toThrow(/temporary folder .*missing/);
  const folder = new TemporaryFolder(parent);
  expect(() => folder.assertRoomFor(2 ** 60)).toThrow('temporaryFolder, TMPDIR');
  const full = Object.assign(new Error('full'), { code: 'ENOSPC' });
  const write = () => {
    throw full;
  };
  expect(() => folder.use(write)).toThrow('temporaryFolder, TMPDIR');
});
