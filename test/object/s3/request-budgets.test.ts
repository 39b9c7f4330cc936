import { Readable, Writable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import { runCli } from '../../../src/cli/run-cli.ts';
import { S3Server } from './s3-server.ts';

/** The requests of each command on a bucket whose service was probed lately. */

let server: S3Server;
beforeAll(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'an-access-key');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'a-secret-key');
});
afterAll(() => vi.unstubAllEnvs());
beforeEach(async () => {
  await server?.close();
  server = await new S3Server(new MemoryObjectStore()).start();
  await varve(['put'], conversation('first', long('shared'), long('of the first')));
});
afterAll(() => server.close());

const long = (text: string) => `${text} ${'.'.repeat(5000)}`;
const conversation = (id: string, ...contents: string[]) =>
  `${JSON.stringify({ id, messages: contents.map((content) => ({ role: 'user', content })) })}\n`;
const many = (count: number) =>
  Array.from({ length: count }, (_, at) => conversation(`c${at}`, `text ${at}`)).join('');

/** Runs a command as a process of its own would. Returns its requests and its output. */
async function varve(
  args: readonly string[],
  input = '',
): Promise<{ requests: string[]; output: string }> {
  const before = server.seen.length;
  const chunks: string[] = [];
  const sink = () =>
    new Writable({
      write(chunk, _, done) {
        chunks.push(String(chunk));
        done();
      },
    });
  const location = `s3://bucket/p?endpoint=${server.endpoint}&region=here-1`;
  const terminal = { stdin: Readable.from([Buffer.from(input)]), stdout: sink(), stderr: sink() };
  const { exitCode } = await runCli(
    [...args, '-s', location],
    terminal as unknown as Parameters<typeof runCli>[1],
    new AbortController().signal,
  );
  expect({ exitCode, output: chunks.join('') }).toMatchObject({ exitCode: 0 });
  const requests = server.seen.slice(before).map(({ method, key }) => `${method} ${key}`);
  return { requests, output: chunks.join('') };
}

const countOf = async (args: readonly string[], input?: string) =>
  (await varve(args, input)).requests.length;

describe('varve', () => {
  it('put of an inline conversation takes 4 requests', async () => {
    expect(await countOf(['put'], conversation('a', 'hi'))).toBe(4);
  });

  it('put takes 5, and 2 for each new segment', async () => {
    expect(await countOf(['put'], conversation('a', long('one'), long('two')))).toBe(5 + 2 * 2);
  });

  it('import of one conversation takes what a put takes, in a store of any size', async () => {
    await varve(['import', '-'], many(300));
    expect(await countOf(['import', '-'], conversation('a', 'hi'))).toBe(4);
    const { output } = await varve(['import', '-', '-q'], conversation('b', 'hi'));
    expect(output).toBe('');
  });

  it('rm takes 5, or 7 and 2 for each segment', async () => {
    await varve(['put'], conversation('a', 'hi'));
    expect(await countOf(['rm', 'a'])).toBe(5);
    expect(await countOf(['rm', 'first'])).toBe(7 + 2 * 2);
  });

  it('info takes 2, and shows the totals of the last count', async () => {
    expect((await varve(['info'])).output).toMatch(/format +2\ntotals +not counted yet: du counts/);
    await varve(['import', '-'], many(100));
    await varve(['gc', '--full']);
    const { requests, output } = await varve(['info']);
    expect(requests).toHaveLength(2);
    expect(output).toMatch(/format +2\nconversations +101\n(.*\n)+counted +20\d\d-/);
    await varve(['put'], conversation('more', 'hi'));
    expect(JSON.parse((await varve(['info', '--json'])).output)).toMatchObject({
      conversations: 101,
    });
    await varve(['audit']);
    expect(JSON.parse((await varve(['info', '--json'])).output)).toMatchObject({
      conversations: 102,
    });
  });

  it('gc with nothing to do takes 4', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    expect(await countOf(['gc'])).toBe(4);
    vi.restoreAllMocks();
  });
});
