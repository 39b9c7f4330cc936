import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RULES } from '../../src/backends/object/rules.ts';

const ROOT = join(import.meta.dirname, '../..');
const PROTOCOL = join(ROOT, 'src/backends/object');

/** A rule in a list of Markdown. */
const ITEM = /^- \*\*`([\w-]+)`\*\*: (.*(?:\n {2}.*)*)/gm;

/** What comments cite: "rule `name`", or "rules `name` and `name`". */
const CITATION = /\brules? (`[\w-]+`(?:(?:,| and) `[\w-]+`)*)/g;

describe('the rules of the object protocol', () => {
  it('are all cited in the code, by names that exist', () => {
    const cited = sourcesOf(PROTOCOL).flatMap(citationsIn);
    expect([...new Set(cited)].sort()).toEqual(Object.keys(RULES).sort());
  });

  it('are documented as the code states them', () => {
    const documented = documents().flatMap((text) =>
      [...text.matchAll(ITEM)].map(([, name, says]) => [name, says?.replace(/\s+/g, ' ').trim()]),
    );
    expect(documented).toEqual(
      Object.entries(RULES).map(([name, { sentence, reason }]) => [
        name,
        `${sentence} *Why:* ${reason}`,
      ]),
    );
  });
});

function sourcesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && path !== 'rules.ts')
    .map((path) => readFileSync(join(folder, path), 'utf8'));
}

function citationsIn(source: string): string[] {
  const unwrapped = source.replace(/\s*\n\s*(?:\*|\/\/)? */g, ' ');
  return [...unwrapped.matchAll(CITATION)].flatMap(([, names = '']) =>
    names.split(/,? and |, /).map((name) => name.slice(1, -1)),
  );
}

/** The documents of the project that may have the rules in a list. */
function documents(): string[] {
  const paths = readdirSync(ROOT, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name === 'docs') return readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`);
    return entry.isFile() ? [entry.name] : [];
  });
  return paths
    .filter((path) => path.endsWith('.md'))
    .map((path) => readFileSync(join(ROOT, path), 'utf8'))
    .filter((text) => text.includes(`- **\`${Object.keys(RULES)[0]}\`**`));
}
