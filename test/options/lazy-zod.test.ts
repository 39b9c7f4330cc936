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

it('loads no zod for calls without options, or with nothing but a signal', () => {
  expect(loadedBy('bare')).toEqual([]);
});

it('loads zod for the first call that has other options', () => {
  expect(loadedBy('options')).not.toEqual([]);
});
