import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const scratch = mkdtempSync(join(tmpdir(), 'varve-imports-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** A project where every layer imports what it may. */
const CLEAN: Readonly<Record<string, string>> = {
  'src/core/errors.ts': '',
  'src/core/address.ts': `import './errors.ts';`,
  'src/cas/codec/codec.ts': '',
  'src/cas/codec/frame.ts': `import './codec.ts';`,
  'src/backends/contract/backend.ts': `import '../../core/address.ts';`,
  'src/backends/local/local.ts': `import '../contract/backend.ts'; import './index-db.ts'; import 'better-sqlite3';`,
  'src/backends/local/index-db.ts': `import '../../core/errors.ts';`,
  'src/backends/objects/objects.ts': `import '../contract/backend.ts';`,
  'src/cas/segments.ts': `import '../backends/contract/backend.ts';`,
  'src/manifest/blobs.ts': `import '../cas/segments.ts';`,
  'src/gc/collect.ts': `import '../manifest/blobs.ts';`,
  'src/store.ts': `import './gc/collect.ts'; import './backends/local/local.ts';`,
  'src/index.ts': `import './store.ts';`,
  'src/cli/main.ts': `import '../store.ts'; import 'commander';`,
};

/** One violation of each rule: the rule, the file, what is added to it. */
const PLANTED: readonly (readonly [rule: string, file: string, text: string])[] = [
  ['leaves', 'src/core/address.ts', `import '../cas/segments.ts';`],
  ['backend-interface', 'src/backends/contract/backend.ts', `import '../local/index-db.ts';`],
  ['backends', 'src/backends/local/index-db.ts', `import '../../cas/segments.ts';`],
  ['backends', 'src/backends/objects/objects.ts', `import '../local/index-db.ts';`],
  ['cas', 'src/cas/segments.ts', `import '../backends/local/local.ts';`],
  ['manifest', 'src/manifest/blobs.ts', `import '../gc/sweep.ts';`],
  ['gc', 'src/gc/collect.ts', `import '../backends/local/local.ts';`],
  ['store', 'src/store.ts', `import './cli/progress.ts';`],
  ['cli', 'src/cli/main.ts', `import '../manifest/blobs.ts';`],
  ['index', 'src/index.ts', `import './backends/local/local.ts';`],
  ['no-cycles', 'src/cas/codec/codec.ts', `import type {} from './frame.ts';`],
  ['no-dev-dependencies', 'src/store.ts', `import 'vitest';`],
  ['resolvable', 'src/store.ts', `import './nowhere.ts';`],
  ['cli-packages', 'src/cas/segments.ts', `import 'commander';`],
  ['storage-packages', 'src/cas/segments.ts', `import 'better-sqlite3';`],
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
    expect(lint(CLEAN)).toEqual({ status: 0, output: 'import check: 14 files, no violation\n' });
  });

  it('fails when it reads nothing', () => {
    const { status, output } = lint({ 'src/notes.md': '', 'test/notes.ts': '' });
    expect(output).toContain('read 0 of 0 files');
    expect(status).toBe(1);
  });

  describe('on a project with one violation of each rule', () => {
    const files: Record<string, string> = {
      ...CLEAN,
      'src/gc/sweep.ts': '',
      'src/cli/progress.ts': '',
    };
    for (const [, file, text] of PLANTED) files[file] += text;
    const { status, output } = lint(files);

    it('fails', () => {
      expect(status).toBe(1);
    });

    it.each(PLANTED)('names the rule %s for %s: %s', (rule, file) => {
      expect(output).toContain(`${rule}: ${file} → `);
    });
  });
});
