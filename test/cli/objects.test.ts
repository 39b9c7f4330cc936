import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import { addressOf } from '../../src/core/address.ts';
import { openStore } from '../../src/store.ts';
import { holding } from '../object/holding.ts';
import { S3Server } from '../object/s3/s3-server.ts';
import { leftOut } from '../thorough.ts';
import { type Result, Workplace } from './varve.ts';

/** The command line on a bucket, of a server in this process. */

// Each command loads the SDK in a process of its own, and all cores may be busy.
vi.setConfig({ testTimeout: 120_000 });

const here = new Workplace();
const CREDENTIALS = { AWS_ACCESS_KEY_ID: 'an-access-key', AWS_SECRET_ACCESS_KEY: 'a-secret-key' };
const QUIET = { AWS_JS_SDK_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' };

const objects = new MemoryObjectStore();
const server = new S3Server(objects);
beforeAll(() => server.start());
afterAll(() => server.close());

const location = (prefix: string) =>
  `s3://${server.bucket}/${prefix}?${new URLSearchParams({ endpoint: server.endpoint, region: 'here-1', pathStyle: 'true' })}`;

const run = (prefix: string, args: readonly string[]): Promise<Result> =>
  here.run([...args, '-s', location(prefix)], { ...CREDENTIALS, ...QUIET });

async function succeed(prefix: string, args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await run(prefix, args);
  if (status !== 0) throw new Error(`varve ${args.join(' ')} ended with ${status}: ${stderr}`);
  return stdout;
}

const json = async (prefix: string, args: readonly string[]) =>
  JSON.parse(await succeed(prefix, [...args, '--json']));

/** Longer than what is kept inline, so that it is a segment. */
const long = (text: string) => `${text} ${'.'.repeat(5000)}`;
const lineOf = (id: string, application: string, ...contents: string[]) =>
  `${JSON.stringify({ id, application, messages: contents.map((content) => ({ role: 'user', content })) })}\n`;

const LINES =
  lineOf('a1', 'desk', long('of both'), long('only a1')) +
  lineOf('a2', 'desk', long('of both'), long('only a2')) +
  lineOf('b1', 'lab', long('only b1'), 'short of b1');

/** Stores the conversations, without the command line, which is slower. */
async function seed(prefix: string, removed: readonly string[] = []): Promise<void> {
  const credentials = {
    accessKeyId: CREDENTIALS.AWS_ACCESS_KEY_ID,
    secretAccessKey: CREDENTIALS.AWS_SECRET_ACCESS_KEY,
  };
  const store = await openStore({
    bucket: server.bucket,
    prefix,
    region: 'here-1',
    endpoint: server.endpoint,
    pathStyle: true,
    credentials,
  });
  await store.importJsonl([Buffer.from(LINES)], { ifExists: 'skip' });
  await store.conversations.deleteMany(removed);
  await store.close();
}

/** The objects of a store that hold any of the texts. */
const holders = async (prefix: string, texts: readonly string[]) =>
  (await holding(objects, texts)).filter((key) => key.startsWith(`${prefix}/`));

describe.skipIf(leftOut('the command line on a bucket'))('on a bucket', () => {
  it('gc shows in a dry run what its shards then collect', async () => {
    await seed('gc', ['a1', 'a2', 'b1']);
    const plan = await json('gc', ['gc', '-n', '--grace', '0']);
    expect(plan).toMatchObject({
      dryRun: true,
      collectedSegments: 4,
      reasons: { unreferenced: { count: 4 } },
    });
    const shards = [];
    for (const shard of ['0/2', '1/2']) {
      shards.push(
        await json('gc', [
          'gc',
          '--grace',
          '0',
          '--shard',
          shard,
          '--concurrency',
          '2',
          '--deadline',
          '5m',
        ]),
      );
    }
    for (const field of ['collectedSegments', 'collectedBytes', 'freedBytes']) {
      expect(shards.reduce((sum, report) => sum + report[field], 0)).toBe(plan[field]);
    }
    expect(await succeed('gc', ['gc', '--full', '--grace', '0'])).toMatch(
      /^collected 0 segments, 0 B /,
    );
    const history = (await succeed('gc', ['gc', '--history', '--limit', '2', '--json']))
      .trimEnd()
      .split('\n');
    expect(history.map((line) => JSON.parse(line))).toMatchObject([
      {
        operation: 'gc',
        options: { full: true, grace: 0 },
        requests: { list: expect.any(Number) },
      },
      { operation: 'gc', options: { shard: { index: 1, count: 2 } } },
    ]);
  });

  it('gc --every prints a line a run until Ctrl-C', async () => {
    await seed('every');
    const child = here.start(['gc', '--every', '1s', '--jitter', '0', '-s', location('every')], {
      ...CREDENTIALS,
      ...QUIET,
    });
    const ended = once(child, 'close');
    const lines: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      lines.push(line);
      if (lines.length === 2) child.kill('SIGINT');
    }
    expect(await ended).toEqual([0, null]);
    for (const line of lines)
      expect(line).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d collected 0 segments/);
  });

  it('rm --erase and gc --erase leave no object with what was deleted, and list what others share', async () => {
    await seed('erase');
    const report = await run('erase', ['rm', '--erase', 'a1']);
    expect(report).toMatchObject({ status: 0, stderr: '' });
    const shared = addressOf(Buffer.from(long('of both')));
    expect(report.stdout).toBe(
      '1 conversation deleted\n' +
        'no deleted content is left in the store; the ids stay in the keys of ' +
        'tombstones\n' +
        `segment ${shared}, 5.01 kB, stays: it is also in conversation a2\n`,
    );
    expect(await holders('erase', ['only a1'])).toEqual([]);
    await succeed('erase', ['rm', 'b1']);
    const plan = await json('erase', ['gc', '--erase', '--dry-run']);
    expect(plan).toMatchObject({ dryRun: true, collectedSegments: 1, remnants: [] });
    expect(await holders('erase', ['only b1'])).not.toEqual([]);
    await succeed('erase', ['gc', '--erase']);
    expect(await holders('erase', ['only a1', 'only b1', 'short of b1'])).toEqual([]);
    expect(await holders('erase', ['only a2'])).not.toEqual([]);
    const refused = await run('erase', ['gc', '--erase', '--shard', '0/2']);
    expect(refused).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("'--erase' cannot be used with option '--shard <i/n>'"),
    });
  });

  it('holds pass neither rm nor prune', async () => {
    await seed('hold');
    await succeed('hold', ['hold', 'a1', '--reason', 'case 12']);
    expect(await run('hold', ['rm', 'a1'])).toMatchObject({
      status: 6,
      stdout: '0 conversations deleted\n',
    });
    const prune = await succeed('hold', ['prune', '--application', 'desk', '--yes']);
    expect(prune).toMatch(
      /^held \(case 12\): a1, of application "desk"\ndeleted 1 conversation of 2 .*; 1 conversation held\n$/,
    );
  });

  it('audit ends with 5 until what it finds is repaired or healed', async () => {
    await seed('audit');
    expect(await succeed('audit', ['audit', '--sample', '50%', '--deep'])).toMatch(
      /^3 manifests, 4 segments, .*: nothing wrong\n$/,
    );
    const address = addressOf(Buffer.from(long('only a2')));
    const [sidecar, data] = (await objects.list(`audit/segments/${address}`)).objects.map(
      ({ key }) => key,
    );
    await objects.delete([data as string]);
    await objects.put(`audit/segments/${'0'.repeat(64)}/AAAAAAAAAAAAb1`, Buffer.from('orphan'), {
      kind: 'any',
    });
    expect(sidecar).toBe(`audit/segments/${address}.meta`);
    const found = await run('audit', ['audit']);
    expect(found).toMatchObject({ status: 5, stderr: '' });
    expect(found.stdout).toMatch(
      new RegExp(
        `^orphaned-data: data of segment 0{64} has no sidecar \\(repair would delete it\\)\n` +
          `missing-data: the data of segment ${address} is missing \\(repair would mark it, so ` +
          'that the next put of the same bytes heals it\\)\n' +
          '  affects conversation a2\n' +
          '3 manifests, 4 segments, .*: 2 findings, 2 left unrepaired\n$',
      ),
    );
    const repairing = await run('audit', ['audit', '--repair']);
    expect(repairing.status).toBe(5);
    expect(repairing.stdout).toMatch(
      /has no sidecar \(repaired\)\n.* is missing \(it is marked, and the next put of the same bytes heals it\)\n/,
    );
    // The same bytes, put again.
    await seed('audit');
    expect(await json('audit', ['audit', '--deep'])).toMatchObject({
      report: { findings: 0, unrepaired: 0 },
    });
  });

  it('backup copies a bucket into a folder, and restore makes a bucket of it where there is none', async () => {
    await seed('original');
    const copy = here.path('copy');
    expect(await succeed('original', ['backup', copy])).toMatch(
      /^3 manifests, .* of content copied, in .*copy; took /,
    );
    expect(await succeed('restored', ['restore', copy])).toMatch(
      /^3 manifests, .*; 3 manifests verified; took /,
    );
    expect(await succeed('restored', ['export'])).toBe(LINES);
    const again = await run('restored', ['restore', copy]);
    expect(again.status).toBe(2);
    expect(again.stderr).toMatch(
      /^varve: a backup is restored where there is nothing yet, and s3:.* is not empty/,
    );
    await objects.put('original/manifests/conversation/a1.json', Buffer.from('damaged'), {
      kind: 'any',
    });
    const damaged = await run('original', ['backup', copy]);
    expect(damaged.status).toBe(5);
    expect(damaged.stderr).toMatch(
      /^varve: everything else was copied: manifests\/conversation\/a1\.json: /,
    );
  });

  it('du breaks down what a bucket takes', async () => {
    await seed('du');
    const { parts, total, otherBytes, usage, topSegments } = await json('du', [
      'du',
      '--by',
      'application',
      '--top',
      '1',
    ]);
    expect(
      parts
        .map(({ key, manifests }: { key: string; manifests: number }) => [key, manifests])
        .sort(),
    ).toEqual([
      ['desk', 2],
      ['lab', 1],
    ]);
    expect(total.storedBytes + otherBytes).toBe(usage.storedBytes);
    expect(topSegments).toMatchObject([
      { address: addressOf(Buffer.from(long('of both'))), references: 2 },
    ]);
  });
});
