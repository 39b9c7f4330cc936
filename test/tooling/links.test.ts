import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RULES } from '../../src/backends/object/rules.ts';
import { MarkdownFile, markdownFiles, projectFiles, ROOT } from './documents.ts';

const files = markdownFiles();
const byPath = new Map(files.map((file) => [file.path, file]));
const existing = projectFiles();
const names = new Set(existing.map((path) => basename(path)));

/** Links of a file that lead nowhere, among files that `exists` knows. */
function brokenLinks(file: MarkdownFile, exists: (path: string) => boolean): string[] {
  return file.links.filter((link) => {
    if (/^(https?|mailto):/.test(link)) return false;
    const [target = '', anchor] = link.split('#');
    const path = target === '' ? file.path : posix.join(dirname(file.path), target);
    if (!exists(path)) return true;
    const page = path === file.path ? file : byPath.get(path);
    return anchor !== undefined && !page?.anchors.includes(anchor);
  });
}

/** Paths and names of files that a document has in backticks or in code, and that are nowhere. */
function missingFiles(file: MarkdownFile): string[] {
  const texts = [...file.code, ...file.blocks.map(({ text }) => text)];
  const paths = texts.flatMap((text) => [
    ...text.matchAll(/(?<![\w./-])(?:src|test|bench|scripts|examples|docs)\/[\w./-]*\w\/?/g),
  ]);
  const named = file.code.filter((text) => /^[\w-]+\.(ts|mjs|cjs)$/.test(text));
  return [
    ...paths.map(([path]) => path).filter((path) => !existsSync(join(ROOT, path)) && !isMade(path)),
    ...named.filter((name) => !names.has(name)),
  ];
}

/** Whether the section of the folder around it has a row for a folder. */
function isRow(path: string, map: string): boolean {
  const [, section = ''] = map.split(`### ${dirname(path)}\n`);
  return section.split('\n#')[0]?.includes(`| \`${basename(path)}/\` |`) === true;
}

/** Made by a command. */
function isMade(path: string): boolean {
  return path.startsWith('docs/api') || path.startsWith('bench/results');
}

describe('the documents', () => {
  it.each(files)('$path has links that lead somewhere', (file) => {
    expect(brokenLinks(file, (path) => existsSync(join(ROOT, path)))).toEqual([]);
    const { used, defined } = file.labels;
    expect(new Set(used)).toEqual(new Set(defined));
  });

  // The change log names what was.
  it.each(files.filter(({ path }) => path !== 'CHANGELOG.md'))(
    '$path names files that exist',
    (file) => {
      expect(missingFiles(file)).toEqual([]);
    },
  );

  it.each(
    files.filter(({ path }) => /^(README|ARCHITECTURE|CONTRIBUTING|docs\/.*)\.md$/.test(path)),
  )('$path fits a screen, tables and code included', ({ lines }) => {
    expect(lines.filter((line) => [...line].length > 100)).toEqual([]);
  });

  it('are short where they are the first to be read', () => {
    expect(byPath.get('README.md')?.lines.length).toBeLessThanOrEqual(150);
    expect(byPath.get('ARCHITECTURE.md')?.lines.length).toBeLessThanOrEqual(300);
  });

  it('have a map with every folder of src/', () => {
    const map = byPath.get('ARCHITECTURE.md')?.lines.join('\n') as string;
    const folders = new Set(existing.filter((path) => path.startsWith('src/')).map(dirname));
    const unnamed = [...folders].filter(
      (path) => !map.includes(`${path}/`) && !map.includes(`### ${path}`) && !isRow(path, map),
    );
    expect(unnamed).toEqual([]);
  });

  it('have an index with every page of docs/', () => {
    const pages = files.filter(({ path }) => /^docs\/(?!README)[^/]+$/.test(path));
    const index = byPath.get('docs/README.md')?.links.map((link) => `docs/${link}`);
    expect(index).toEqual(expect.arrayContaining(pages.map(({ path }) => path)));
  });

  it('have the table of error codes as the code has it', () => {
    const rows = (text: string) => text.match(/\| `[A-Z_]+` \| .* \|/g);
    const page = byPath.get('docs/library.md')?.lines.join('\n') as string;
    expect(rows(page)).toEqual(rows(readFileSync(join(ROOT, 'src/core/errors.ts'), 'utf8')));
  });

  it('have the rules of the object protocol as the code has them', () => {
    const text = byPath.get('docs/protocol.md')?.prose.replaceAll(/\s+/g, ' ') as string;
    const [, section = ''] = /## Rules (.*?) ## /.exec(`${text} ## `) ?? [];
    const written = [
      ...section.matchAll(/- \*\*`(.+?)`\*\*: (.+?) \*Why:\* (.+?[.]) (?=- \*\*|`test)/g),
    ];
    expect(written.map(([, name, sentence, reason]) => [name, { sentence, reason }])).toEqual(
      Object.entries(RULES),
    );
  });

  it('are in the package, with every file that they link to', () => {
    const json = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [{ files: packed }] = JSON.parse(json) as [{ files: { path: string }[] }];
    const paths = packed.map(({ path }) => path);
    const folders = new Set(paths.map((path) => `${dirname(path)}/`));
    const exists = (path: string) => paths.includes(path) || folders.has(path);
    const pages = paths.filter((path) => path.endsWith('.md'));
    expect(pages).toEqual(expect.arrayContaining(['README.md', 'docs/README.md', 'docs/s3.md']));
    expect(
      pages.map((path) => [path, brokenLinks(byPath.get(path) as MarkdownFile, exists)]),
    ).toEqual(pages.map((path) => [path, []]));
  }, 120_000);
});

describe('the checks of documents', () => {
  const page = (text: string) => new MarkdownFile('docs/page.md', text);

  it('find a link to a file, to an anchor and to a label that is not there', () => {
    const file = page(
      '# A b, `c`\n[a](#a-b-c) [b](#b) [c](nowhere.md) [d](s3.md#nowhere) [e][f]\n',
    );
    expect(brokenLinks(file, (path) => existsSync(join(ROOT, path)) || path === file.path)).toEqual(
      ['#b', 'nowhere.md', 's3.md#nowhere'],
    );
    expect(file.labels).toEqual({ used: ['f'], defined: [] });
  });

  it('find files that are not there', () => {
    const file = page(
      '`src/nowhere.ts` `nobody.ts` `src/store.ts` `errors.ts`\n```\nsrc/no/\n```\n',
    );
    expect(missingFiles(file)).toEqual(['src/nowhere.ts', 'src/no/', 'nobody.ts']);
  });
});
