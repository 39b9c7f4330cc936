import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Job } from './process/agent.ts';
import { Child } from './process/child.ts';
import { compileAgent } from './process/compiled.ts';
import { scratchFolder } from './support.ts';

/** Flushes are counted where they happen, at the kernel's door. */
function whyNoStrace(): string | undefined {
  const { status, stderr, error } = spawnSync('strace', ['-f', '-e', 'trace=fsync', 'true']);
  return status === 0 ? undefined : (error?.message ?? stderr.toString().trim());
}

const obstacle = whyNoStrace();
if (obstacle !== undefined)
  console.warn(
    `SKIPPED: tests that count flushes, without strace (apt-get install strace): ${obstacle}`,
  );

const compiled = { agent: '' };
beforeAll(async () => {
  compiled.agent = await compileAgent();
});

/**
 * What a process did to files below `path`, in order, as words: "write pack", "flush wal", "ack".
 */
async function traced(job: Job): Promise<string[]> {
  const log = join(scratchFolder(), 'trace');
  const calls = 'trace=fsync,fdatasync,write,pwrite64,pwritev,unlink,unlinkat,openat,mkdir';
  const child = new Child(compiled.agent, job, [
    'strace',
    '-f',
    '-y',
    '-s',
    '40',
    '-e',
    calls,
    '-o',
    log,
  ]);
  await child.succeeds();
  const words: string[] = [];
  for (const line of readFileSync(log, 'utf8').split('\n')) {
    const word = wordFor(line, job.path);
    if (word !== undefined && (word !== words.at(-1) || word.startsWith('flush'))) words.push(word);
  }
  return words;
}

function wordFor(line: string, root: string): string | undefined {
  const acknowledgement = /write\(1<[^>]*>, "ack (\d+)/.exec(line);
  if (acknowledgement) return `ack ${acknowledgement[1]}`;
  const opened = /openat\([^"]*"([^"]+)"[^)]*O_CREAT/.exec(line);
  if (opened?.[1]?.startsWith(`${root}/packs`)) return 'create pack';
  const call = /(fsync|fdatasync|write|pwrite64|pwritev)\((?:\d+)<([^>]+)>/.exec(line);
  const [, name, file = ''] = call ?? [];
  if (name === undefined || !(file === root || file.startsWith(`${root}/`))) return undefined;
  return `${name.endsWith('sync') ? 'flush' : 'write'} ${describeFile(file, root)}`;
}

function describeFile(file: string, root: string): string {
  if (file === root) return 'folder';
  if (file === `${root}/packs`) return 'packs folder';
  if (file.endsWith('.pack')) return 'pack';
  if (file.endsWith('-wal')) return 'wal';
  if (file.endsWith('-shm')) return 'shm';
  if (file.endsWith('varve.db')) return 'database';
  return file.slice(root.length + 1).replace(/[0-9a-f-]{36}/, 'x');
}

/** Commits after the first of a process, as the words between two acknowledgements. */
function commitsIn(words: readonly string[]): string[][] {
  const commits: string[][] = [[]];
  for (const word of words) {
    if (word.startsWith('ack')) commits.push([]);
    else if (!word.endsWith('shm')) commits.at(-1)?.push(word);
  }
  return commits.slice(1, -1);
}

describe.skipIf(obstacle !== undefined)('a commit', () => {
  test('flushes its pack and then the log of the index, once each, before it is acknowledged', async () => {
    const path = scratchFolder();
    const words = await traced({ path, task: 'commit', to: 100, batch: 2 });
    const commits = commitsIn(words);
    expect(commits).toHaveLength(49);
    for (const each of commits)
      expect(each).toEqual(['write pack', 'flush pack', 'write wal', 'flush wal']);
  });

  test('in a new pack flushes the folder between the creation of the pack and the index that names its blocks', async () => {
    const path = scratchFolder();
    const words = await traced({ path, task: 'commit', to: 60, batch: 2, packBytes: 3000 });
    const created = commitsIn(words).filter((each) => each.includes('create pack'));
    expect(created.length).toBeGreaterThan(3);
    for (const each of created) {
      expect(each.slice(each.indexOf('create pack'))).toEqual([
        'create pack',
        'flush packs folder',
        'write pack',
        'flush pack',
        'write wal',
        'flush wal',
      ]);
      // The index names the pack as this process's before the file exists.
      expect(each.slice(0, each.indexOf('create pack'))).toEqual([
        'write wal',
        'flush wal',
        'write wal',
        'flush wal',
      ]);
    }
  });

  test('in a new store comes after the flush of every folder that was made for it', async () => {
    const parent = scratchFolder();
    const path = join(parent, 'deep', 'store');
    const log = join(scratchFolder(), 'trace');
    await new Child(compiled.agent, { path, task: 'commit', to: 1 }, [
      ...['strace', '-f', '-y', '-e', 'trace=fsync,fdatasync,mkdir,write', '-o', log],
    ]).succeeds();
    const lines = readFileSync(log, 'utf8').split('\n');
    const acknowledged = lines.findIndex((line) => line.includes('"ack 1'));
    const flushed = (folder: string) =>
      lines.findIndex((line) => line.includes(`sync(`) && line.includes(`<${folder}>`));
    for (const folder of [parent, join(parent, 'deep'), path, join(path, 'packs')]) {
      expect(flushed(folder), folder).toBeGreaterThan(-1);
      expect(flushed(folder), folder).toBeLessThan(acknowledged);
    }
  });
});

describe.skipIf(obstacle !== undefined)('to know that its directory is still there', () => {
  test('a commit looks at two paths, after the flush of its pack and before that of the index', async () => {
    const path = scratchFolder();
    const log = join(scratchFolder(), 'trace');
    const calls =
      'trace=%stat,%lstat,%fstat,statx,fsync,fdatasync,open,openat,close,readlink,access,write';
    await new Child(compiled.agent, { path, task: 'commit', to: 100, batch: 2 }, [
      ...['strace', '-f', '-y', '-s', '40', '-e', calls, '-o', log],
    ]).succeeds();
    const commits: string[][] = [[]];
    for (const line of readFileSync(log, 'utf8').split('\n')) {
      if (line.includes('"ack ')) commits.push([]);
      const [, flushed] = /f(?:data)?sync\(\d+<([^>]*)>/.exec(line) ?? [];
      if (flushed?.startsWith(path)) commits.at(-1)?.push(`flush ${describeFile(flushed, path)}`);
      const [, name, at] = /(\w*stat\w*|open\w*|access|readlink)\([^"]*"([^"]*)"/.exec(line) ?? [];
      if (at?.startsWith(path)) commits.at(-1)?.push(`${name} ${describeFile(at, path)}`);
    }
    const steady = commits.slice(1, -1);
    expect(steady).toHaveLength(49);
    for (const each of steady) {
      expect(each.map((call) => call.replace(/^\w*stat\w*/, 'stat'))).toEqual([
        'flush pack',
        'stat pack',
        'stat database',
        'flush wal',
      ]);
    }
  });
});

describe.skipIf(obstacle !== undefined)('opening a store', () => {
  test('that exists writes nothing', async () => {
    const path = scratchFolder();
    await new Child(compiled.agent, { path, task: 'commit', to: 10 }).succeeds();
    const words = await traced({ path, task: 'commit', to: 0 });
    expect(words.filter((word) => !word.endsWith('shm'))).toEqual([]);
  });
});

describe.skipIf(obstacle !== undefined)('a rewrite of packs', () => {
  test('removes a pack only after its live records are flushed elsewhere and the index says so', async () => {
    const path = scratchFolder();
    mkdirSync(path, { recursive: true });
    await new Child(compiled.agent, {
      path,
      task: 'commit',
      to: 60,
      batch: 2,
      packBytes: 10_000,
    }).succeeds();
    const log = join(scratchFolder(), 'trace');
    await new Child(compiled.agent, { path, task: 'collect', seed: 1, forMs: 1 }, [
      ...['strace', '-f', '-y', '-e', 'trace=fsync,fdatasync,unlink,unlinkat', '-o', log],
    ]).succeeds();
    const lines = readFileSync(log, 'utf8').split('\n');
    const unlinked = lines.findIndex((line) => /unlink(at)?\(.*\.pack"/.test(line));
    const pack = lines.findIndex((line) => /fdatasync\(\d+<[^>]*\.pack>/.test(line));
    const index = lines.findIndex((line, at) => at > pack && /sync\(\d+<[^>]*-wal>/.test(line));
    expect(pack).toBeGreaterThan(-1);
    expect(index).toBeGreaterThan(pack);
    expect(unlinked).toBeGreaterThan(index);
    expect(existsSync(join(path, 'packs'))).toBe(true);
  });
});
