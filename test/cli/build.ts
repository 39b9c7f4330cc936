import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';

/**
 * The tests of the command line run what a user runs: compiled JavaScript, in a process of its own.
 */
export function setup(): void {
  const root = resolve(import.meta.dirname, '../..');
  const tsc = resolve(root, 'node_modules/typescript/bin/tsc');
  const run = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
    cwd: root,
    encoding: 'utf8',
  });
  if (run.status !== 0)
    throw new Error(`tsc -p tsconfig.build.json failed:\n${run.stdout}${run.stderr}`);
}
