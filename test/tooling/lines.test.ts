import { describe, expect, it } from 'vitest';
import { wideLines } from '../../scripts/wide-lines.mjs';
import { runScript } from './scripts.ts';

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
    expect(wideLines(name, () => text)).toEqual([{ line: 1, width: text.length - 1 }]);
  });

  it.each([
    ['string.ts', `call('${words}');\n`],
    ['src/template.ts', `call(\`${words}\`);\n`],
    ['template.ts', `call(\`\n${words}\n\`);\n`],
    ['table.md', `| ${words} |\n`],
    ['code.md', `\`\`\`\n${words}\n\`\`\`\n`],
    ['url.md', `See https://example.com/${'x'.repeat(90)}\n`],
  ])('accepts what cannot be broken in %s', (name, text) => {
    expect(wideLines(name, () => text)).toEqual([]);
  });

  it('ignores files of other kinds', () => {
    expect(wideLines('data.jsonl', () => words)).toBeUndefined();
  });

  it('reports each line, and fails where there is one', () => {
    const files = { 'plain.md': 'Short.\n', 'wide.md': `Short.\n${words}\n` };
    expect(runScript('lint-lines.mjs', { 'plain.md': files['plain.md'] })).toEqual({
      status: 0,
      output: 'line check: 1 files, no line wider than 100 columns\n',
    });
    expect(runScript('lint-lines.mjs', files)).toEqual({
      status: 1,
      output: 'wide.md:2: 104 columns\nline check: 1 lines of 2 files are wider than 100 columns\n',
    });
  });
});
