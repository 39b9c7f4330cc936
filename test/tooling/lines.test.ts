import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const script = resolve(import.meta.dirname, '../../scripts/lint-lines.mjs');
const scratch = mkdtempSync(join(tmpdir(), 'varve-lines-'));
mkdirSync(join(scratch, 'src'));
afterAll(() => rmSync(scratch, { recursive: true }));

function lint(name: string, text: string): string {
  writeFileSync(join(scratch, name), text);
  const { stdout, stderr } = spawnSync(process.execPath, [script, name], {
    cwd: scratch,
    encoding: 'utf8',
  });
  return (stdout + stderr).replaceAll(`${name}:`, '');
}

const words = 'word '.repeat(21).trim();

describe('the line check', () => {
  it.each([
    ['comment.ts', `/** ${words} */\n`],
    ['comment.mjs', `let a; // ${words}\n`],
    ['code.ts', `call(${'argument, '.repeat(12)}argument);\n`],
    ['string.ts', `call('short', ${'argument, '.repeat(12)}argument); // ${words}\n`],
    ['src/string.ts', `call('${words}');\n`],
    ['text.md', `${words}\n`],
  ])('refuses a wide line in %s', (name, text) => {
    expect(lint(name, text)).toMatch(/^1: \d+ columns\nline check: 1 lines of 1 files/);
  });

  it.each([
    ['string.ts', `call('${words}');\n`],
    ['src/template.ts', `call(\`${words}\`);\n`],
    ['template.ts', `call(\`\n${words}\n\`);\n`],
    ['table.md', `| ${words} |\n`],
    ['code.md', `\`\`\`\n${words}\n\`\`\`\n`],
    ['url.md', `See https://example.com/${'x'.repeat(90)}\n`],
  ])('accepts what cannot be broken in %s', (name, text) => {
    expect(lint(name, text)).toMatch(/^line check: 1 files, no line wider/);
  });
});
