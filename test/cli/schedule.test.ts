import { chmodSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { Workplace } from './varve.ts';

const here = new Workplace();

function storeWith(name: string): string {
  const location = here.path(name);
  here.succeed(['import', '-', '-s', location], {
    input: '{"id":"a","messages":[{"content":"text"}]}\n',
  });
  return location;
}

describe('varve gc --history', () => {
  it('lists what was run, newest first, also what failed', () => {
    const location = storeWith('history');
    expect(here.succeed(['gc', '--history', '-s', location])).toBe('');
    here.succeed(['gc', '-s', location]);
    here.succeed(['gc', '--dry-run', '-s', location]);
    here.succeed(['audit', '-s', location]);
    here.succeed(['prune', '--older-than', '90d', '--yes', '-s', location]);
    const lines = here.succeed(['gc', '--history', '-s', location]).trimEnd().split('\n');
    expect(lines.map((line) => line.split(/ {2,}/).slice(1, 3))).toEqual([
      ['prune', 'done'],
      ['audit', 'done'],
      ['gc', 'done'],
    ]);
    expect(lines[2]).toMatch(/collected 0 segments, freed 0 B$/);
    const reports = here
      .succeed(['gc', '--history', '--limit', '2', '--json', '-s', location])
      .trimEnd()
      .split('\n');
    expect(reports.map((line) => JSON.parse(line))).toMatchObject([
      { operation: 'prune', options: { olderThan: '90d' }, result: { deleted: 0 } },
      { operation: 'audit', result: { findings: 0 } },
    ]);
    expect(here.varve(['gc', '--history', '--every', '6h', '-s', location]).status).toBe(2);
  });

  // Root may write what is not writable.
  it.skipIf(process.getuid?.() === 0)('has no entry of an audit that could only read', () => {
    const location = storeWith('read-only');
    chmodSync(`${location}/varve.db`, 0o444);
    here.succeed(['audit', '-s', location]);
    expect(here.succeed(['gc', '--history', '-s', location])).toBe('');
  });
});

describe('varve gc --every', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`prints a line a run and ends clean on ${signal}`, async () => {
      const location = storeWith(signal);
      const child = here.start(['gc', '--every', '1s', '--jitter', '0', '-s', location]);
      const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
      let errors = '';
      child.stderr.on('data', (chunk) => {
        errors += chunk;
      });
      const lines: string[] = [];
      for await (const line of createInterface(child.stdout)) {
        lines.push(line);
        if (lines.length === 2) child.kill(signal);
      }
      expect(await ended).toBe(0);
      expect(errors).toBe('');
      for (const line of lines)
        expect(line).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d collected 0 segments/);
      const history = here
        .succeed(['gc', '--history', '--json', '-s', location])
        .trimEnd()
        .split('\n');
      expect(history.length).toBeGreaterThanOrEqual(2);
      expect(JSON.parse(history.at(-1) as string)).toMatchObject({
        operation: 'gc',
        outcome: 'done',
      });
    });
  }

  it('keeps to a deadline, a shard and a concurrency in each run', async () => {
    const location = storeWith('limits');
    const limits = ['--deadline', '0', '--shard', '1/2', '--concurrency', '2'];
    const child = here.start([
      'gc',
      '--every',
      '1h',
      '--jitter',
      '0',
      ...limits,
      '--json',
      '-s',
      location,
    ]);
    for await (const line of createInterface(child.stdout)) {
      expect(JSON.parse(line).report).toMatchObject({ isComplete: false });
      child.kill('SIGTERM');
    }
    const { options } = JSON.parse(here.succeed(['gc', '--history', '--json', '-s', location]));
    expect(options).toMatchObject({ deadline: 0, shard: { index: 1, count: 2 }, concurrency: 2 });
  });

  it('fails at once where there is no store, and refuses what cannot be', () => {
    expect(here.varve(['gc', '--every', '6h', '-s', here.path('none')]).status).toBe(4);
    const location = storeWith('refuses');
    for (const args of [
      ['--every', '0'],
      ['--every', 'x'],
      ['--every', '6h', '--dry-run'],
      ['--jitter', '5m'],
      ['--limit', '5'],
    ]) {
      expect(here.varve(['gc', ...args, '-s', location]).status, args.join(' ')).toBe(2);
    }
  });
});
