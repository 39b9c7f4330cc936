import { cpSync, readFileSync, symlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { version } from '../../src/core/version.ts';
import { Workplace } from './varve.ts';

const PROJECT = resolve(import.meta.dirname, '../..');
const here = new Workplace();
const expected = JSON.parse(readFileSync(resolve(PROJECT, 'package.json'), 'utf8')).version;

it('the version is that of the package, in the sources', () => {
  expect(version()).toBe(expected);
});

it('the version is that of the package, wherever a bundler has taken the code', () => {
  cpSync(resolve(PROJECT, 'dist'), here.path('elsewhere'), { recursive: true });
  symlinkSync(resolve(PROJECT, 'node_modules'), here.path('node_modules'));
  const { stdout } = here.shell(`"$NODE" elsewhere/cli/main.js --version`);
  expect(stdout).toBe(`${expected}\n`);
});
