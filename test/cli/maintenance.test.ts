import { cpSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { addressOf } from '../../src/core/address.ts';
import { openStore } from '../../src/store.ts';
import { leftOut } from '../thorough.ts';
import { Workplace } from './varve.ts';

/** What operators run on a store in a directory. */

vi.setConfig({ testTimeout: 120_000 });

const isLeftOut = leftOut('what operators run on a store in a directory');

const here = new Workplace();

interface Given {
  readonly id: string;
  readonly application?: string;
  readonly model?: string;
  readonly contents: readonly string[];
}

/** Stores conversations without the command line, which is slower. */
async function storeWith(name: string, given: readonly Given[]): Promise<string> {
  const path = here.path(name);
  const store = await openStore(path);
  for (const { contents, ...rest } of given) {
    await store.conversations.put({
      ...rest,
      messages: contents.map((content) => ({ role: 'user', content })),
    });
  }
  await store.close();
  return path;
}

const json = (args: readonly string[]) => JSON.parse(here.succeed([...args, '--json']));

/** Text that compression can do nothing about, so that it stands in files as it is. */
const SECRET = 'q7#Vz!m2Lx^9Rk@e4Wd$u8Yb(h1Pn)c6Tj&f3Gs*o5';
const ID = 'id-of-jane-doe';
const SHARED = `a prompt that all have ${'.'.repeat(600)}`;

/** The files of a store that hold any of the texts. */
function filesWith(path: string, ...texts: string[]): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(path, name)).isFile())
    .filter((name) => texts.some((text) => readFileSync(join(path, name)).includes(text)));
}

describe.skipIf(isLeftOut)('varve gc', () => {
  it('does a share of the work with --shard, nothing with --deadline 0, and all of it with the rest', async () => {
    // Records are shared out in thousands, so that all of these are in the first shard.
    const location = await storeWith('shards', [
      { id: 'a', contents: [SHARED, `only a ${'a'.repeat(600)}`] },
      { id: 'b', contents: [SHARED] },
    ]);
    here.succeed(['rm', 'a', '-s', location]);
    const gc = (...args: string[]) => json(['gc', '--grace', '0', ...args, '-s', location]);
    expect(here.succeed(['gc', '--deadline', '0', '-s', location])).toMatch(
      /\nstopped at the deadline: the next run continues from there\n$/,
    );
    const plan = gc('--dry-run');
    expect(plan).toMatchObject({ collectedSegments: 1, reasons: { unreferenced: { count: 1 } } });
    expect(gc('--shard', '1/2')).toMatchObject({ collectedSegments: 0 });
    expect(gc('--shard', '0/2', '--concurrency', '3', '--deadline', '10m')).toMatchObject({
      collectedSegments: 1,
      collectedBytes: plan.collectedBytes,
      isComplete: true,
    });
  });
});

describe.skipIf(isLeftOut)('an erasure', () => {
  const given = [
    {
      id: ID,
      application: 'application-of-jane',
      contents: [SHARED, SECRET, `${SECRET} ${'x'.repeat(600)}`],
    },
    { id: 'other', contents: [SHARED] },
  ];

  it('by rm --erase leaves no trace in any file, and lists what others share', async () => {
    const location = await storeWith('rm-erase', given);
    expect(filesWith(location, ID, SECRET).length).toBeGreaterThan(0);
    expect(here.succeed(['rm', '--erase', ID, '-s', location])).toBe(
      '1 conversation deleted\n' +
        'nothing that was deleted is left in the store\n' +
        `segment ${addressOf(Buffer.from(SHARED))}, 623 B, stays: it is also in ` +
        'conversation other\n',
    );
    expect(filesWith(location, ID, SECRET, 'application-of-jane')).toEqual([]);
    expect(here.succeed(['cat', 'other', '-s', location])).toContain('a prompt that all have');
  });

  it('by gc --erase takes what was deleted before, as a plan shows', async () => {
    const location = await storeWith('gc-erase', given);
    here.succeed(['rm', ID, '-s', location]);
    expect(json(['gc', '--erase', '-n', '-s', location])).toMatchObject({
      dryRun: true,
      collectedSegments: 1,
    });
    expect(filesWith(location, ID, SECRET).length).toBeGreaterThan(0);
    expect(here.succeed(['gc', '--erase', '-s', location])).toMatch(
      /\nnothing that was deleted is left in the store\n$/,
    );
    expect(filesWith(location, ID, SECRET, 'application-of-jane')).toEqual([]);
    expect(here.varve(['gc', '--erase', '--shard', '0/2', '-s', location])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("'--erase' cannot be used with option '--shard <i/n>'"),
    });
  });
});

describe.skipIf(isLeftOut)('varve prune', () => {
  it('goes by the model, and by rank among those that the filters let pass', async () => {
    const given = [1, 2, 3, 4].map((number) => ({
      id: `c${number}`,
      application: number % 2 === 0 ? 'even' : 'odd',
      model: number < 3 ? 'small' : 'large',
      contents: ['text'],
    }));
    const location = await storeWith('prune', given);
    expect(here.succeed(['prune', '--model', 'small', '-n', '-q', '-s', location])).toBe(
      'would delete: c2, of model "small"\nwould delete: c1, of model "small"\n',
    );
    here.succeed(['hold', 'c1', '-s', location]);
    const { report } = JSON.parse(
      here
        .succeed(['prune', '--keep-last', '1', '--per', 'model', '--json', '--yes', '-s', location])
        .trimEnd()
        .split('\n')
        .at(-1) ?? '',
    );
    expect(report).toMatchObject({ considered: 4, deleted: 1, held: 1 });
    expect(here.succeed(['ls', '-s', location])).toBe('c1\nc2\nc4\n');
  });
});

describe.skipIf(isLeftOut)('varve audit', () => {
  it('ends with 5 until what it found is repaired, then with 0', async () => {
    const location = await storeWith('audit', [{ id: 'a', contents: [SHARED] }]);
    const stray = join(location, 'packs', '00000077.pack');
    writeFileSync(stray, 'left by nobody');
    expect(here.varve(['audit', '-s', location])).toMatchObject({
      status: 5,
      stdout: expect.stringContaining(
        `orphaned-data: ${stray} does not belong to the store (repair would remove the file)\n`,
      ),
    });
    expect(here.varve(['audit', '--repair', '-s', location])).toMatchObject({
      status: 0,
      stdout: expect.stringContaining(
        `orphaned-data: ${stray} does not belong to the store (repaired)\n`,
      ),
    });
    expect(here.succeed(['audit', '--deep', '--sample', '1%', '-s', location])).toMatch(
      /: nothing wrong\n$/,
    );
  });

  it('says of damage that is marked what heals it', async () => {
    const location = await storeWith('damage', [{ id: 'a', contents: [SHARED] }]);
    const [pack = ''] = readdirSync(join(location, 'packs'));
    const bytes = readFileSync(join(location, 'packs', pack));
    // Behind the header and the directory of the first block, which is of segments.
    const at = 32 + bytes.readUInt32LE(8) + bytes.readUInt32LE(12) - 1;
    bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(join(location, 'packs', pack), bytes);
    const { status, stdout } = here.varve(['audit', '--repair', '-s', location]);
    expect(status).toBe(5);
    expect(stdout).toContain(
      `segment ${addressOf(Buffer.from(SHARED))} is damaged: its block cannot be read ` +
        '(it is marked, and the next put of the same bytes heals it)\n  affects conversation a\n',
    );
  });
});

describe.skipIf(isLeftOut)('varve backup and restore', () => {
  it('copy a store, bring the copy up to date, and make a store of it that is as it was', async () => {
    const location = await storeWith('original', [{ id: 'a', contents: [SHARED] }]);
    const [copy, restored] = [here.path('copy'), here.path('restored')];
    expect(here.succeed(['backup', copy, '-s', location])).toMatch(
      /^1 pack, .* of it copied, in .*copy; took /,
    );
    here.succeed(['put', '-s', location], { input: '{"id":"b","messages":[{"content":"later"}]}' });
    expect(json(['backup', copy, '-s', location])).toMatchObject({ location: copy });
    expect(here.succeed(['restore', copy, '-s', restored])).toMatch(
      /, in .*restored; 2 manifests verified; took /,
    );
    expect(here.succeed(['export', '-s', restored])).toBe(here.succeed(['export', '-s', location]));
    // What was changed since is a store of its own.
    here.succeed(['rm', 'b', '-s', copy]);
    expect(here.varve(['backup', copy, '-s', location])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining(copy),
    });
  });

  it('refuse a folder with something else, and a folder that is not a backup', async () => {
    const location = await storeWith('refusing', [{ id: 'a', contents: [SHARED] }]);
    const folder = here.path('thesis');
    cpSync(import.meta.dirname, folder, { recursive: true });
    for (const args of [
      ['backup', folder, '-s', location],
      ['restore', location, '-s', folder],
    ]) {
      const { status, stdout, stderr } = here.varve(args);
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
      expect(stderr).toContain(folder);
    }
    expect(here.varve(['restore', here.path('nothing'), '-s', here.path('new')]).status).toBe(4);
  });

  it('show with exit code 5 that a backup is damaged', async () => {
    const location = await storeWith('whole', [{ id: 'a', contents: [SHARED] }]);
    const copy = here.path('damaged-copy');
    here.succeed(['backup', copy, '-q', '-s', location]);
    const [pack = ''] = readdirSync(join(copy, 'packs'));
    const bytes = readFileSync(join(copy, 'packs', pack));
    bytes[60] = (bytes[60] as number) ^ 1;
    writeFileSync(join(copy, 'packs', pack), bytes);
    const { status, stdout } = here.varve(['restore', copy, '-s', here.path('of-damaged')]);
    expect(status).toBe(5);
    expect(stdout).toMatch(/\ncorrupt-data: .*\n/);
  });
});
