import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { sampleLines } from '../../examples/demo/generate.mjs';
import { SAMPLE, Workplace } from './varve.ts';

const here = new Workplace();
const store = here.path('store');
here.succeed(['import', SAMPLE, '-s', store]);

const VERBS = [
  'import',
  'export',
  'put',
  'append',
  'get',
  'cat',
  'ls',
  'stat',
  'rm',
  'blob',
  'gc',
  'audit',
  'du',
  'info',
];

describe('usage', () => {
  it('prints the version of package.json', () => {
    const { version } = JSON.parse(
      readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
    );
    expect(here.varve(['--version'])).toMatchObject({
      status: 0,
      stdout: `${version}\n`,
      stderr: '',
    });
  });

  it('lists every verb and the exit codes in the help', () => {
    const { status, stdout } = here.varve(['--help']);
    expect(status).toBe(0);
    for (const verb of VERBS) expect(stdout).toMatch(new RegExp(`^  ${verb}\\b`, 'm'));
    expect(stdout).toContain('130 interrupted');
  });

  it.each(['import', 'ls', 'blob'])(
    'explains %s with --help, global options included, without a store',
    (verb) => {
      const { status, stdout } = here.varve([verb, '--help']);
      expect(status).toBe(0);
      expect(stdout).toMatch(new RegExp(`^Usage: varve ${verb}`));
      expect(stdout).toContain('--store <location>');
    },
  );

  it.each([
    [[], 'Usage: varve'],
    [['frobnicate'], "unknown command 'frobnicate'"],
    [['ls', '--frobnicate'], "unknown option '--frobnicate'"],
    [['get'], "missing required argument 'id'"],
    [['get', 'a', 'b'], 'too many arguments'],
    [
      ['import', SAMPLE, '--if-exists', 'perhaps'],
      'Allowed choices are error, skip, replace, append',
    ],
    [['ls', '--limit', '0'], 'whole number of at least 1'],
    [['ls', '--since', 'yesterday'], 'Write a date'],
    [['ls', '--since', '2026-02-31'], 'Write a date'],
    [['ls', '--newest', '--oldest'], "cannot be used with option '--newest'"],
    [['gc', '--grace', '5'], 'number and a unit'],
    [['gc', '--grace', '-1h'], '--grace'],
    [['audit', '--sample', '200%'], 'from 0% to 100%'],
    [['get', ''], '1 to 512 bytes'],
    [['get', 'x'.repeat(513)], '512'],
    [['--store', '', 'ls'], '--store'],
    [['--store', 'ftp://somewhere', 'ls'], 'no backend for ftp'],
  ])('%j ends with 2 and says why on standard error', (args, reason) => {
    const run = here.varve([
      ...args,
      ...(args.includes('--store') || args.length === 0 ? [] : ['--store', store]),
    ]);
    expect(run.stderr).toContain(reason);
    expect({ status: run.status, stdout: run.stdout }).toEqual({ status: 2, stdout: '' });
  });

  it('names both ways to give a store when none is given', () => {
    expect(here.varve(['ls'])).toMatchObject({
      status: 2,
      stderr: 'varve: no store was named: give --store LOCATION or set VARVE_STORE\n',
    });
  });

  it('takes --store before and after the verb, and before VARVE_STORE', () => {
    const env = { VARVE_STORE: here.path('elsewhere') };
    expect(here.succeed(['--store', store, 'ls', '--limit', '1'], { env })).toBe(
      'bicycle-desk/session-0000\n',
    );
    expect(here.succeed(['ls', '--limit', '1', `--store=file:${store}`], { env })).toBe(
      'bicycle-desk/session-0000\n',
    );
  });
});

describe('errors', () => {
  it.each(['ls', 'export', 'gc'])('%s ends with 4 where no store is, and creates none', (verb) => {
    const { status, stderr } = here.varve([verb, '-s', here.path('nowhere')]);
    expect(status).toBe(4);
    expect(stderr).toContain(here.path('nowhere'));
    expect(existsSync(here.path('nowhere'))).toBe(false);
  });

  it('are JSON on standard error with --json', () => {
    const { status, stdout, stderr } = here.varve(['get', 'nobody', '--json', '-s', store]);
    expect({ status, stdout }).toEqual({ status: 4, stdout: '' });
    expect(JSON.parse(stderr)).toEqual({
      error: { code: 'NOT_FOUND', retryable: false, message: expect.stringContaining('nobody') },
    });
  });

  it('name a directory given as a file', () => {
    mkdirSync(here.path('folder'));
    expect(here.varve(['import', 'folder', '-s', store])).toMatchObject({
      status: 2,
      stderr: 'varve: folder: is a directory\n',
    });
    expect(here.varve(['export', '-o', 'folder', '-s', store]).stderr).toBe(
      'varve: folder: is a directory\n',
    );
  });

  it.skipIf(process.getuid?.() === 0)('name a file that may not be read', () => {
    writeFileSync(here.path('secret.jsonl'), '{}');
    chmodSync(here.path('secret.jsonl'), 0o000);
    expect(here.varve(['import', 'secret.jsonl', '-s', store])).toMatchObject({
      status: 1,
      stderr: 'varve: secret.jsonl: permission denied\n',
    });
  });

  it('leave standard error empty and without colours when all is well', () => {
    const run = here.varve(['import', SAMPLE, '-s', store]);
    expect(run.stderr).toBe('');
    expect(run.stdout).not.toContain('\u001b');
  });
});

describe('pipes and signals', () => {
  const big = here.path('big');
  const lines = sampleLines(3000);
  here.succeed(['import', '-', '-s', big], { input: lines });

  it('ends quietly when the reader of its output has seen enough', () => {
    const run = here.shell('set -o pipefail; varve export -s "$BIG" | head -c 100 | wc -c', {
      BIG: big,
    });
    expect({ status: run.status, stdout: run.stdout.trim(), stderr: run.stderr }).toEqual({
      status: 0,
      stdout: '100',
      stderr: '',
    });
  });

  it('fails when its output cannot be written', () => {
    const run = here.shell('varve export -s "$BIG" > /dev/full', { BIG: big });
    expect(run.status).toBe(1);
    expect(run.stderr).toContain('standard output');
  });

  it('exports through a pipe what was imported through one', () => {
    const copy = here.path('copy');
    here.shell('varve export -s "$BIG" | varve import - -q -s "$COPY"', { BIG: big, COPY: copy });
    expect(here.varve(['export', '-s', copy]).bytes.equals(Buffer.from(lines))).toBe(true);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'on %s an import ends with %i, keeps what is committed, and goes on when run again',
    async (signal, status) => {
      const location = here.path(`interrupted-${signal}`);
      const child = here.start(['import', '-', '-s', location]);
      let stderr = '';
      child.stderr.on('data', (chunk) => {
        stderr += chunk;
      });
      child.stdin.on('error', () => undefined);
      // More than one batch, and then no end: it waits for more.
      child.stdin.write(lines);
      child.stdin.write(lines.slice(0, -5));
      const list = () => here.varve(['ls', '-s', location]).stdout;
      await vi.waitFor(() => expect(list()).not.toBe(''), { timeout: 25_000, interval: 100 });
      child.kill(signal);
      expect(await once(child, 'exit')).toEqual([status, null]);
      expect(stderr).toMatch(
        /lines? done; the same command continues from there\nvarve: interrupted\n$/,
      );
      const kept = here.succeed(['ls', '-s', location]).split('\n').length - 1;
      const report = JSON.parse(
        here.succeed(['import', '-', '--json', '-s', location], { input: lines }),
      );
      expect(report).toMatchObject({ unchanged: kept, created: 3000 - kept });
      expect(here.varve(['audit', '-s', location]).status).toBe(0);
    },
  );

  it('stops waiting for standard input on SIGINT', async () => {
    const child = here.start(['put', '-s', here.path('waiting')]);
    await pause(2000);
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([130, null]);
  });
});
