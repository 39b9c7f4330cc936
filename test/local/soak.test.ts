import { execFile } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { leftOut } from '../thorough.ts';
import { compile } from './process/compiled.ts';
import { scratchFolder } from './support.ts';

const PROJECT = resolve(import.meta.dirname, '../..');
/** The long form is `node scripts/soak.mjs --minutes 10`. */
test.skipIf(leftOut('the soak of a local store'))(
  'writers, collectors, an eraser and an auditor, all killed at random, leave all that was acknowledged',
  async () => {
    const library = scratchFolder();
    await compile({ index: 'src/index.ts' }, library);
    symlinkSync(join(PROJECT, 'node_modules'), join(library, 'node_modules'));
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        join(PROJECT, 'scripts', 'soak.mjs'),
        '--minutes',
        '0.2',
        '--seed',
        process.env['VARVE_SEED'] ?? '1',
      ],
      { env: { ...process.env, VARVE_DIST: library } },
    );
    const report = JSON.parse(stdout) as {
      done: Record<string, number>;
      kills: number;
      failures: unknown[];
    };
    expect(report.failures).toEqual([]);
    expect(report.kills).toBeGreaterThan(5);
    expect(report.done['writer']).toBeGreaterThan(0);
  },
  90_000,
);
