import { execFile } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { IS_THOROUGH, leftOut } from '../thorough.ts';
import { compileAgent } from './process/compiled.ts';

const PROJECT = resolve(import.meta.dirname, '../..');
const compiled = { agent: '' };
beforeAll(async () => {
  if (IS_THOROUGH) compiled.agent = await compileAgent();
});

/** The long form is `node scripts/soak.mjs --minutes 10`. */
test.skipIf(leftOut('the soak of a local store'))(
  'writers, collectors, an eraser and an auditor, all killed at random, leave all that was acknowledged',
  async () => {
    const root = resolve(dirname(compiled.agent), '../../..');
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        join(PROJECT, 'scripts', 'soak.mjs'),
        '--minutes',
        '0.2',
        '--seed',
        process.env['VARVE_SEED'] ?? '1',
      ],
      { env: { ...process.env, VARVE_DIST: join(root, 'src') } },
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
