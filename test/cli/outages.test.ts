import { once } from 'node:events';
import { it as base, describe, expect, vi } from 'vitest';
import { S3Server, type SeenRequest } from '../object/s3/s3-server.ts';
import { Workplace } from './varve.ts';

/** The command line on a service that does not answer. */

// Each command loads the SDK in a process of its own, and all cores may be busy.
vi.setConfig({ testTimeout: 120_000 });

const here = new Workplace();
const ENVIRONMENT = { AWS_ACCESS_KEY_ID: 'an-access-key', AWS_SECRET_ACCESS_KEY: 'a-secret-key' };

const it = base.extend<{ server: S3Server }>({
  // biome-ignore lint/correctness/noEmptyPattern: the form that vitest reads
  server: async ({}, use) => {
    const server = await new S3Server().start();
    await use(server);
    await server.close();
  },
});

const locationAt = (endpoint: string, more: Readonly<Record<string, string>> = {}) =>
  `s3://bucket/p?${new URLSearchParams({ endpoint, region: 'here-1', ...more })}`;

const run = (args: readonly string[], store: string, input = '') =>
  here.run([...args, '-s', store], ENVIRONMENT, input);

// Together, because they wait most of the time.
describe.concurrent('on a service that does not answer', () => {
  it('every command ends with 7 once its time is over, and says why', async () => {
    const closed = await new S3Server().start();
    const nowhere = locationAt(closed.endpoint, { timeoutMs: '3000' });
    await closed.close();
    const line = '{"id":"a","messages":[]}\n';
    const every = [['put'], ['ls'], ['info'], ['import', '-'], ['gc'], ['info', '--health']];
    const results = await Promise.all(every.map((args) => run(args, nowhere, line)));
    for (const [at, { status, stdout, stderr }] of results.entries()) {
      expect({ args: every[at], status }).toEqual({ args: every[at], status: 7 });
      // On a busy machine the last try may have no time left to be refused.
      expect(stdout + stderr).toMatch(/(ECONNREFUSED|no answer within).*gave up after/);
    }
  });

  it('an undecided outcome ends with 7 and its own code', async ({ server }) => {
    server.quirks.answerInstead = ({ method, key }) =>
      method === 'PUT' && key.includes('manifests/') ? { status: 503 } : undefined;
    const input = '{"id":"a","messages":[]}';
    const { status, stderr } = await run(
      ['put', '--json'],
      locationAt(server.endpoint, { timeoutMs: '8000' }),
      input,
    );
    expect(status).toBe(7);
    expect(JSON.parse(stderr)).toMatchObject({
      error: { code: 'OUTCOME_UNKNOWN', retryable: false },
    });
  });

  it('--verbose reports each retry, even where nobody watches; without it only the end is reported', async ({
    server,
  }) => {
    server.quirks.answerInstead = ({ method, key }) =>
      method === 'PUT' && key.includes('manifests/')
        ? { status: 503, code: 'SlowDown' }
        : undefined;
    const input = '{"id":"a","messages":[]}';
    const store = locationAt(server.endpoint, { timeoutMs: '4000' });
    const [quiet, verbose] = await Promise.all([
      run(['put'], store, input),
      run(['put', '--verbose'], store, input),
    ]);
    expect(quiet.status).toBe(7);
    expect(quiet.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(verbose.stderr).toMatch(
      /^varve: retrying, SlowDown, attempt 2, gives up in \d s \(PUT manifests\/.*\)$/m,
    );
  });

  it.for([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends a command at once', async ([signal, code], { server }) => {
    const isOfManifests = ({ key, query }: SeenRequest) =>
      (key + query.get('prefix')).includes('manifests/');
    server.quirks.answerInstead = (request) => (isOfManifests(request) ? 'hang' : undefined);
    for (const args of [['put'], ['ls'], ['gc', '--full']]) {
      const child = here.start([...args, '-s', locationAt(server.endpoint)], ENVIRONMENT);
      const ended = once(child, 'close');
      const before = server.seen.length;
      child.stdin.end('{"id":"a","messages":[]}');
      const isUnderWay = () => server.seen.slice(before).some(isOfManifests);
      await vi.waitFor(() => expect(isUnderWay()).toBe(true), { timeout: 60_000 });
      const sent = performance.now();
      child.kill(signal);
      expect(await ended, args.join(' ')).toEqual([code, null]);
      // By default it would go on for a minute.
      expect(performance.now() - sent).toBeLessThan(15_000);
    }
  });

  it('info --health ends with 0 where all is well', async ({ server }) => {
    const store = locationAt(server.endpoint);
    await run(['put'], store, '{"id":"a","messages":[]}');
    const { status, stdout } = await run(['info', '--health', '--json'], store);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ healthy: true, latencyMs: expect.any(Number) });
  });
});
