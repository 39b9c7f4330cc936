import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Workplace } from './varve.ts';

const CLI = resolve(import.meta.dirname, '../../dist/cli/main.js');
const DAY_MS = 86_400_000;

const here = new Workplace();

function storeWith(name: string, count: number): string {
  const location = here.path(name);
  const created = Math.floor((Date.now() - 100 * DAY_MS) / 1000);
  const lines = Array.from({ length: count }, (_, number) =>
    JSON.stringify({
      id: `c${number}`,
      created,
      messages: [{ role: 'user', content: `I am ${number}` }],
    }),
  );
  here.succeed(['import', '-', '-s', location], { input: `${lines.join('\n')}\n` });
  return location;
}

/** `varve prune …` at a terminal of its own (of util-linux), where somebody types. */
function atTerminal(
  args: readonly string[],
  typed: string,
): { status: number | null; shown: string } {
  const command = [process.execPath, CLI, 'prune', ...args].map((part) => `'${part}'`).join(' ');
  const { status, stdout } = spawnSync('script', ['-qec', command, '/dev/null'], { input: typed });
  return { status, shown: stdout.toString().replaceAll('\r\n', '\n') };
}

const idsIn = (location: string): number =>
  here.succeed(['ls', '-s', location]).split('\n').length - 1;

describe.skipIf(process.platform !== 'linux')('varve prune at a terminal', () => {
  it.each([
    ['n', 'n\n'],
    ['nothing but a line break', '\n'],
    ['something else', 'yess\n'],
    ['the end of input', ''],
  ])('shows the plan, asks, and deletes nothing when the answer is %s', (_, typed) => {
    const location = storeWith(`no-${JSON.stringify(typed)}`, 2);
    const { status, shown } = atTerminal(['--older-than', '90d', '-s', location], typed);
    expect(shown).toContain('would delete: c0, created more than 90d ago\n');
    expect(shown).toMatch(
      /would delete 2 conversations of 2 conversations examined, \d+ B as given/,
    );
    expect(shown).toContain('Delete 2 conversations? [y/N]');
    expect(shown).toContain('varve: nothing was deleted');
    expect(status).toBe(1);
    expect(idsIn(location)).toBe(2);
  });

  it.each(['y\n', 'Yes\n'])('deletes what it showed when the answer is %j', (typed) => {
    const location = storeWith(`yes-${typed.length}`, 2);
    const { status, shown } = atTerminal(['--older-than', '90d', '-s', location], typed);
    expect(shown).toContain('Delete 2 conversations? [y/N]');
    expect(shown).toContain('deleted 2 conversations of 2 conversations examined');
    expect(status).toBe(0);
    expect(idsIn(location)).toBe(0);
  });

  it('shows the beginning of a long plan, and how much more there is', () => {
    const location = storeWith('long', 30);
    const { shown } = atTerminal(['--older-than', '90d', '-s', location], 'n\n');
    expect(shown.split('\n').filter((line) => line.includes('would delete: '))).toHaveLength(20);
    expect(shown).toContain('… and 10 more; --dry-run lists all');
    expect(idsIn(location)).toBe(30);
  });

  it('asks nothing where there is nothing to delete, nor with --yes, nor in a dry run', () => {
    const location = storeWith('silent', 2);
    const none = atTerminal(['--older-than', '200d', '-s', location], '');
    expect(none.shown).toContain('would delete 0 conversations of 0 conversations examined');
    const plan = atTerminal(['--older-than', '90d', '-n', '-s', location], '');
    const run = atTerminal(['--older-than', '90d', '--yes', '-s', location], '');
    for (const { status, shown } of [none, plan, run]) {
      expect(status).toBe(0);
      expect(shown).not.toContain('[y/N]');
    }
    expect(idsIn(location)).toBe(0);
  });
});

describe('varve prune without a terminal', () => {
  it('deletes nothing without --yes, and says what to give', () => {
    const location = storeWith('cron', 2);
    const { status, stderr } = here.varve(['prune', '--older-than', '90d', '-s', location], {
      input: 'y\n',
    });
    expect(status).toBe(2);
    expect(stderr).toBe(
      'varve: prune asks before it deletes, and there is no terminal to ask on: ' +
        'give --yes to delete, or --dry-run to see what it would delete\n',
    );
    expect(idsIn(location)).toBe(2);
  });

  it('deletes with --yes', () => {
    const location = storeWith('cron-yes', 2);
    here.succeed(['prune', '--older-than', '90d', '--yes', '-s', location]);
    expect(idsIn(location)).toBe(0);
  });

  it('refuses a bare m, with both readings, and takes min, mo and y', () => {
    const location = storeWith('units', 2);
    const { status, stderr } = here.varve(['prune', '--older-than', '3m', '--yes', '-s', location]);
    expect(status).toBe(2);
    expect(stderr).toContain(
      'It must be unambiguous: minutes are 3min, months of 30 days are 3mo.',
    );
    expect(idsIn(location)).toBe(2);
    for (const age of ['4mo', '1y', '101d'])
      here.succeed(['prune', '--older-than', age, '--yes', '-s', location]);
    expect(idsIn(location)).toBe(2);
    here.succeed(['prune', '--older-than', '3mo', '--yes', '-s', location]);
    expect(idsIn(location)).toBe(0);
  });
});
