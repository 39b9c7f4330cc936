import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compileAgent } from '../local/process/compiled.ts';

const compiled = { agent: '' };
const scratch = mkdtempSync(join(tmpdir(), 'varve-lazy-'));
beforeAll(async () => {
  compiled.agent = await compileAgent('test/options/lazy');
});
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

/** Files of zod that a process loads by these steps. */
function loadedBy(...steps: string[]): string[] {
  const folder = join(scratch, steps.join('-'));
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [compiled.agent, folder, ...steps],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as string[];
}

it('a store in a directory loads no zod, with and without options', () => {
  expect(loadedBy('bare', 'options')).toEqual([]);
});

it('a store of objects loads zod for what it reads from the service', () => {
  expect(loadedBy('objects')).not.toEqual([]);
});
