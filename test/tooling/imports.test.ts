import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const scratch = mkdtempSync(join(tmpdir(), 'varve-imports-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Folders of src/ in the order of the architecture, and what each may import. */
const folders: Readonly<Record<string, readonly string[]>> = createRequire(import.meta.url)(
  join(root, '.dependency-cruiser.cjs'),
).folders;
const names = Object.keys(folders);

const face = ['open-options.ts', 'location.ts', 'open.ts', 'store.ts', 'recovery.ts', 'index.ts'];

/** The main file of a folder; a name of a file stays. */
function fileOf(name: string): string {
  return name.endsWith('.ts') ? `src/${name}` : `src/${name}/main.ts`;
}

function importOf(from: string, to: string): string {
  return `import '${relative(dirname(fileOf(from)), fileOf(to)).replace(/^(?!\.)/, './')}';`;
}

/** A project with a file in each folder, which imports all that it may. */
const clean: Record<string, string> = {
  ...Object.fromEntries(
    names.map((name) => [
      fileOf(name),
      (folders[name] ?? []).map((other) => importOf(name, other)).join('\n'),
    ]),
  ),
  'src/open-options.ts': importOf('open-options.ts', 'core/options'),
  'src/location.ts': importOf('location.ts', 'core'),
  'src/open.ts': importOf('open.ts', 'backends/local'),
  'src/recovery.ts': importOf('recovery.ts', 'gc'),
  'src/store.ts': importOf('store.ts', 'gc'),
  'src/index.ts': importOf('index.ts', 'store.ts'),
};

/**
 * For each folder an import of the first folder that it may not import: a later one where there is
 * one, as the direction demands.
 */
const planted: readonly (readonly [rule: string, file: string, text: string])[] = [
  ...names.map((name) => {
    const others = names.filter((other) => other !== name && !folders[name]?.includes(other));
    const above = others.find((other) => names.indexOf(other) > names.indexOf(name));
    return [name, fileOf(name), importOf(name, above ?? others[0] ?? 'index.ts')] as const;
  }),
  ...['open-options.ts', 'location.ts', 'open.ts', 'store.ts', 'recovery.ts'].map(
    (file) => [file, fileOf(file), importOf(file, 'cli')] as const,
  ),
  ['store.ts', 'src/store.ts', importOf('store.ts', 'backends/local')],
  ['index.ts', 'src/index.ts', importOf('index.ts', 'backends/local')],
  ['no-cycles', 'src/core/a.ts', `import type {} from './b.ts';`],
  ['no-dev-dependencies', 'src/store.ts', `import 'vitest';`],
  ['resolvable', 'src/store.ts', `import './nowhere.ts';`],
  ['cli-packages', 'src/cas/main.ts', `import 'commander';`],
  ['sealed-frames', 'src/cas/main.ts', `import './codec/frame.ts';`],
  ['sqlite', 'src/cas/main.ts', `import 'better-sqlite3';`],
  ['aws-sdk', 'src/backends/object/main.ts', `import '@aws-sdk/client-s3';`],
];

let projects = 0;

function lint(files: Readonly<Record<string, string>>): { status: number | null; output: string } {
  const project = join(scratch, String(projects++));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(project, name)), { recursive: true });
    writeFileSync(join(project, name), `${text}\nexport {};\n`);
  }
  symlinkSync(join(root, 'node_modules'), join(project, 'node_modules'));
  for (const name of ['tsconfig.json', 'package.json'])
    symlinkSync(join(root, name), join(project, name));
  const run = spawnSync(process.execPath, [join(root, 'scripts/lint-imports.mjs'), project], {
    encoding: 'utf8',
  });
  return { status: run.status, output: run.stdout + run.stderr };
}

describe('the import check', () => {
  it('accepts a project that keeps the direction', () => {
    const count = names.length + face.length;
    expect(lint(clean)).toEqual({
      status: 0,
      output: `import check: ${count} files, no violation\n`,
    });
  });

  it.each(names)('lets %s import only what stands above it', (name) => {
    const above = names.slice(0, names.indexOf(name));
    expect(folders[name]?.filter((other) => !above.includes(other))).toEqual([]);
  });

  it('fails when it reads nothing', () => {
    const { status, output } = lint({ 'src/notes.md': '', 'test/notes.ts': '' });
    expect(output).toContain('read 0 of 0 files');
    expect(status).toBe(1);
  });

  it('fails for a folder without a rule', () => {
    const { status, output } = lint({ ...clean, 'src/backends/other/main.ts': '' });
    expect(output).toContain('no rule: src/backends/other');
    expect(status).toBe(1);
  });

  describe('on a project with one violation of each rule', () => {
    const files: Record<string, string> = {
      ...clean,
      'src/core/a.ts': '',
      'src/cas/codec/frame.ts': '',
      'src/core/b.ts': `import type {} from './a.ts';`,
    };
    for (const [, file, text] of planted) files[file] += `\n${text}`;
    const { status, output } = lint(files);

    it('fails', () => {
      expect(status).toBe(1);
    });

    it.each(planted)('names the rule %s for %s: %s', (rule, file, text) => {
      const target = join(dirname(file), /'(.*)'/.exec(text)?.[1] ?? '');
      expect(output).toContain(`${rule}: ${file} → ${target in files ? target : ''}`);
    });
  });
});
