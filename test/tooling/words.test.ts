import { describe, expect, it } from 'vitest';
import { hardPhrases } from '../../scripts/hard-phrases.mjs';
import { runScript } from './scripts.ts';

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
    expect(hardPhrases(name, () => text)).toEqual([
      {
        line: expect.toSatisfy((line: number) => line === 1 || line === 2),
        phrase: expect.any(String),
        instead: expect.stringMatching(/./),
      },
    ]);
  });

  it.each([
    ['code.ts', 'const tell = shall(anew);\n'],
    ['there.ts', '// There are none, and there is no reason for any.\n'],
    ['code.md', '```\nit tells\n```\n'],
    ['plain.md', 'An audit reports damage. Nothing is so good that it lasts.\n'],
  ])('accepts %s', (name, text) => {
    expect(hardPhrases(name, () => text)).toEqual([]);
  });

  it('ignores files of other kinds', () => {
    expect(hardPhrases('data.jsonl', () => 'shall')).toBeUndefined();
  });

  it('reports each phrase, and fails where there is one', () => {
    const files = { 'plain.md': 'Plain.\n', 'hard.md': 'Plain.\nIt lets\ngo of it.\n' };
    expect(runScript('lint-words.mjs', { 'plain.md': files['plain.md'] })).toEqual({
      status: 0,
      output: 'word check: 1 files, no phrase that is hard to read\n',
    });
    expect(runScript('lint-words.mjs', files)).toEqual({
      status: 1,
      output:
        'hard.md:2: "lets go of": write release, drop\n' +
        'word check: 1 phrases in 2 files are hard to read\n',
    });
  });
});
