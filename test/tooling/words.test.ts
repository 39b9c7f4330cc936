import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const script = resolve(import.meta.dirname, '../../scripts/lint-words.mjs');
const scratch = mkdtempSync(join(tmpdir(), 'varve-words-'));
afterAll(() => rmSync(scratch, { recursive: true }));

function lint(name: string, text: string): string {
  const file = join(scratch, name);
  writeFileSync(file, text);
  const { stdout, stderr } = spawnSync(process.execPath, [script, file], { encoding: 'utf8' });
  return (stdout + stderr).replaceAll(`${file}:`, '');
}

describe('the word check', () => {
  it.each([
    ['comment.ts', '/** Tells of damage. */\n'],
    ['line.ts', 'let a; // which shall go\n'],
    ['wrapped.ts', '/**\n * The caller lets\n * go of it.\n */\n'],
    ['lines.mjs', '// It leaves\n// word of it.\n'],
    ['string.ts', "fail('an id that is none');\n"],
    ['template.ts', 'fail(`$' + '{id} is no id of $' + '{kind}`);\n'],
    ['text.md', 'At most so many of these.\n'],
  ])('refuses a phrase in %s, and says what to write', (name, text) => {
    expect(lint(name, text)).toMatch(/^[12]: ".+": write .+\nword check: 1 phrases in 1 files/);
  });

  it.each([
    ['code.ts', 'const tell = shall(anew);\n'],
    ['there.ts', '// There are none, and there is no reason for any.\n'],
    ['code.md', '```\nit tells\n```\n'],
    ['plain.md', 'An audit reports damage. Nothing is so good that it lasts.\n'],
  ])('accepts %s', (name, text) => {
    expect(lint(name, text)).toBe('word check: 1 files, no phrase that is hard to read\n');
  });
});
