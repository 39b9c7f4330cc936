import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { S3Server } from '../object/s3/s3-server.ts';
import { SAMPLE, Workplace } from './varve.ts';

/** What a start costs is nearly all loading, so files are counted here, not time. */

const here = new Workplace();
const server = new S3Server();
beforeAll(() => server.start());
afterAll(() => server.close());

/** Packages that differ with the driver of SQLite. */
const DRIVER = new Set(['better-sqlite3', 'better-sqlite3-node20', 'bindings', 'file-uri-to-path']);

/** Files of JavaScript that a run loads: chunks of the bundle, and how many of which package. */
async function loadedBy(...args: string[]) {
  const coverage = here.path(`coverage-${args.join('-').replaceAll(/\W+/g, '-')}`);
  const { status, stderr } = await here.run(args, {
    NODE_V8_COVERAGE: coverage,
    AWS_ACCESS_KEY_ID: 'an-access-key',
    AWS_SECRET_ACCESS_KEY: 'a-secret-key',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const urls = readdirSync(coverage)
    .flatMap((file) => JSON.parse(readFileSync(join(coverage, file), 'utf8')).result)
    .map(({ url }) => String(url))
    .filter((url) => url.startsWith('file:'));
  const packages: Record<string, number> = {};
  let chunks = 0;
  for (const url of urls) {
    const name = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
    if (name === undefined) chunks++;
    else if (!DRIVER.has(name)) packages[name] = (packages[name] ?? 0) + 1;
  }
  return { chunks, packages };
}

describe('varve loads', () => {
  it('for --version only the command line', async () => {
    expect(await loadedBy('--version')).toEqual({ chunks: 6, packages: { commander: 8 } });
  });

  it('for ls of a directory nothing of buckets', async () => {
    here.succeed(['import', SAMPLE, '-s', 'store']);
    expect(await loadedBy('ls', '--limit', '1', '-s', 'store')).toEqual({
      chunks: 11,
      packages: { commander: 8, 'lru-cache': 1, 'zstd-napi': 1 },
    });
  });

  it('for ls of a bucket the SDK besides, and no driver of SQLite', async () => {
    const store = `s3://bucket/p?endpoint=${server.endpoint}&region=here-1`;
    const environment = { AWS_ACCESS_KEY_ID: 'an-access-key', AWS_SECRET_ACCESS_KEY: 'a-key' };
    await here.run(['put', '-s', store], environment, '{"id":"a","messages":[]}');
    const { chunks, packages } = await loadedBy('ls', '--limit', '1', '-s', store);
    const own = Object.entries(packages).filter(([name]) => !/^@(aws|smithy)|^tslib$/.test(name));
    expect({ chunks, packages: Object.fromEntries(own) }).toEqual({
      chunks: 13,
      packages: {
        ...{ commander: 8, 'lru-cache': 1, 'p-limit': 1, 'yocto-queue': 1, 'zstd-napi': 1 },
        zod: 95,
      },
    });
  });
});

describe('the cache of compiled code', () => {
  const isOffered = !process.version.startsWith('v20.');

  /** Runs the command line; returns where its cache would be. */
  function run(name: string, env: Readonly<Record<string, string | undefined>> = {}): string {
    const folder = here.path(name);
    mkdirSync(folder, { recursive: true });
    const result = here.process(['--version'], {
      env: { NODE_DISABLE_COMPILE_CACHE: undefined, XDG_CACHE_HOME: folder, ...env },
    });
    expect(result).toMatchObject({ status: 0, stderr: '' });
    return join(folder, 'varve');
  }

  it('lies in the folder of the user for caches, where Node offers one', () => {
    expect(existsSync(run('caches'))).toBe(isOffered);
    run('home', { HOME: here.path('home'), XDG_CACHE_HOME: undefined });
    expect(readdirSync(here.path('home'))).toHaveLength(isOffered ? 1 : 0);
  });

  it('can be switched off', () => {
    expect(existsSync(run('off', { NODE_DISABLE_COMPILE_CACHE: '1' }))).toBe(false);
  });

  it('is done without where it cannot be written, or there is no home', () => {
    mkdirSync(here.path('full'));
    writeFileSync(here.path('full/varve'), 'in the way');
    expect(readFileSync(run('full'), 'utf8')).toBe('in the way');
    run('none', { XDG_CACHE_HOME: undefined, HOME: here.path('nowhere') });
    expect(existsSync(here.path('nowhere'))).toBe(false);
  });

  it.runIf(process.getuid?.() === 0)('is not taken from another user', () => {
    const foreign = here.path('foreign');
    mkdirSync(foreign);
    chownSync(foreign, 12_345, 12_345);
    expect(existsSync(run('foreign'))).toBe(false);
  });
});
