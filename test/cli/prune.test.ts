import { describe, expect, it } from 'vitest';
import { Workplace } from './varve.ts';

const here = new Workplace();
const DAY_MS = 86_400_000;

interface Given {
  readonly id: string;
  readonly days: number;
  readonly application?: string;
  readonly tenant?: string;
}

function storeWith(name: string, given: readonly Given[]): string {
  const location = here.path(name);
  const lines = given.map(({ id, days, application, tenant }) =>
    JSON.stringify({
      id,
      created: Math.floor((Date.now() - days * DAY_MS) / 1000),
      ...(application && { application }),
      ...(tenant && { metadata: { tenant } }),
      messages: [{ role: 'user', content: `I am ${id}` }],
    }),
  );
  here.succeed(['import', '-', '-s', location], { input: `${lines.join('\n')}\n` });
  return location;
}

const FOUR: readonly Given[] = [
  { id: 'a1', days: 100, application: 'a', tenant: 'acme' },
  { id: 'a2', days: 200, application: 'a', tenant: 'globex' },
  { id: 'b1', days: 300, application: 'b', tenant: 'acme' },
  { id: 'b2', days: 1, application: 'b', tenant: 'acme' },
];

describe('varve prune', () => {
  it('says in a dry run what it would delete and why, and then deletes that', () => {
    const location = storeWith('age', FOUR);
    const plan = here.succeed([
      'prune',
      '--older-than',
      '90d',
      '--application',
      'a',
      '-n',
      '-s',
      location,
    ]);
    expect(plan).toContain('would delete: a1, created more than 90d ago, of application "a"\n');
    expect(plan).toMatch(
      /would delete 2 conversations of 2 conversations examined, \d+ B as given/,
    );
    expect(here.succeed(['ls', '-s', location])).toBe('a1\na2\nb1\nb2\n');
    const run = here.succeed([
      'prune',
      '--older-than',
      '90d',
      '--application',
      'a',
      '--yes',
      '-s',
      location,
    ]);
    expect(run).toMatch(/^deleted 2 conversations of 2 conversations examined/);
    expect(here.succeed(['ls', '-s', location])).toBe('b1\nb2\n');
  });

  it('prints with --json a line a conversation and the report at the end', () => {
    const location = storeWith('json', FOUR);
    here.succeed(['hold', 'b1', '--reason', 'case 12', '-s', location]);
    const lines = here
      .succeed([
        'prune',
        '--keep-last',
        '1',
        '--per',
        'application',
        '--json',
        '--yes',
        '-s',
        location,
      ])
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toMatchObject([
      { conversation: { id: 'b1', status: 'held', hold: { reason: 'case 12' } } },
      {
        conversation: {
          id: 'a2',
          status: 'deleted',
          why: ['not among the newest 1 of application "a"'],
        },
      },
      { report: { dryRun: false, considered: 4, deleted: 1, held: 1, changed: 0, unreadable: 0 } },
    ]);
    expect(here.succeed(['ls', '-s', location])).toBe('a1\nb1\nb2\n');
  });

  it('takes several conditions, all of which must be met', () => {
    const location = storeWith('where', FOUR);
    const where = ['--where', 'metadata.tenant=acme', '--where', 'application=b'];
    const output = here.succeed(['prune', ...where, '--older-than', '90d', '-y', '-s', location]);
    expect(output).toMatch(/^deleted 1 conversation of/);
    expect(here.succeed(['ls', '-s', location])).toBe('a1\na2\nb2\n');
  });

  it('lists what is held', () => {
    const location = storeWith('held', FOUR);
    here.succeed(['hold', 'b1', '--reason', 'case 12', '-s', location]);
    const output = here.succeed([
      'prune',
      '--idle-for',
      '0',
      '--older-than',
      '250d',
      '--yes',
      '-s',
      location,
    ]);
    expect(output).toMatch(
      /^held \(case 12\): b1, created more than 250d ago, last written to before now\ndeleted 0 .*; 1 con/,
    );
  });

  it('refuses to run without a criterion, or with an invalid one, with exit code 2', () => {
    const location = storeWith('bare', FOUR);
    for (const args of [
      [],
      ['--dry-run'],
      ['--older-than', '90'],
      ['--keep-last', '0'],
      ['--per', 'model'],
      ['--keep-last', '1', '--per', 'tenant'],
      ['--where', 'tenant'],
    ]) {
      expect(here.varve(['prune', ...args, '--yes', '-s', location]).status, args.join(' ')).toBe(
        2,
      );
    }
    expect(here.succeed(['ls', '-s', location])).toBe('a1\na2\nb1\nb2\n');
  });
});
