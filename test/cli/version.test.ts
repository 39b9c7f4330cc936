import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Workplace } from './varve.ts';

const here = new Workplace();
const COMPILED = resolve(import.meta.dirname, '../../dist/core/version.js');

/** What the compiled function says from that place, as it would in a bundle there. */
function versionAt(path: string): string {
  const copy = here.path(path);
  mkdirSync(dirname(copy), { recursive: true });
  cpSync(COMPILED, copy);
  const program = `import { version } from ${JSON.stringify(copy)}; process.stdout.write(version());`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return stdout;
}

describe('the version', () => {
  it('is unknown where a bundler has taken the code from its package, and no failure', () => {
    expect(versionAt('alone/dist/core/handler.mjs')).toBe('unknown');
  });

  it('is not that of a package that the code was bundled into', () => {
    mkdirSync(here.path('other'), { recursive: true });
    writeFileSync(here.path('other/package.json'), '{ "name": "other", "version": "9.9.9" }');
    expect(versionAt('other/dist/core/handler.mjs')).toBe('unknown');
  });
});
