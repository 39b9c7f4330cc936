import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';

/** The tests of the command line run what a user runs: the bundle. */
export function setup(): void {
  const script = resolve(import.meta.dirname, '../../scripts/build.mjs');
  const run = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`build.mjs failed:\n${run.stdout}${run.stderr}`);
}
