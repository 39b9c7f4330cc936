import { Command, CommanderError } from 'commander';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/commands/index.ts';
import { addGlobalOptions } from '../../src/cli/session/session.ts';

/**
 * What the parser of the command line says to arguments; nothing is done with those that it takes.
 */
async function told(args: readonly string[]): Promise<string> {
  let errors = '';
  const program = addGlobalOptions(new Command('varve'))
    .configureOutput({
      writeErr: (text) => {
        errors += text;
      },
    })
    .exitOverride();
  for (const addCommand of COMMANDS) addCommand(program, async () => {});
  try {
    await program.parseAsync(args, { from: 'user' });
    return 'taken';
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return errors.trimEnd();
  }
}

const DURATION =
  'It must be a number and a unit (ms, s, min, h, d, w, mo of 30 days, y of 365 days), such ' +
  'as 24h, or 0.';
const RETENTION =
  'It must be a number and a unit (min, h, d, w, mo of 30 days, y of 365 days), such as 90d, or 0.';
const AMBIGUOUS = 'It must be unambiguous: minutes are 3min, months of 30 days are 3mo.';
const COUNT = 'Write a whole number of at least 1.';
const SHARD = 'Write the number of a shard, from 0, and how many there are, such as 0/8.';
const SHARE = 'Write a share from 0% to 100%, such as 1% or 0.01.';
const CONDITION = 'Write a path of keys, "=" and a value, such as metadata.tenant=acme.';

/** Verb, option as the help shows it, what is allowed, values that are not. */
const REFUSED: readonly [
  verb: string,
  option: string,
  allowed: string,
  values: readonly string[],
][] = [
  ['gc', '--grace <duration>', DURATION, ['5', '-1h', '', '1M', '24 h', 'NaN']],
  ['gc', '--every <duration>', DURATION, ['6', 'hourly']],
  ['gc', '--jitter <duration>', DURATION, ['-5m']],
  ['gc', '--deadline <duration>', DURATION, ['600', '10 min']],
  ['gc', '--shard <i/n>', SHARD, ['2/2', '0/0', '-1/2', '1', '0.5/2', 'a/b']],
  ['gc', '--concurrency <n>', COUNT, ['0', '1.5', '-3', 'all']],
  ['gc', '--limit <number>', COUNT, ['0', 'x']],
  ['audit', '--sample <share>', SHARE, ['101%', '1.01', '-1%', 'half', '%']],
  ['prune', '--older-than <age>', RETENTION, ['90', '3 months']],
  ['prune', '--older-than <age>', AMBIGUOUS, ['3m']],
  ['prune', '--idle-for <age>', RETENTION, ['-1d']],
  ['prune', '--idle-for <age>', AMBIGUOUS, ['3m']],
  ['prune', '--keep-last <number>', COUNT, ['0', '-1', '2.5']],
  ['prune', '--where <condition>', CONDITION, ['tenant', '=acme']],
  ['du', '--top <number>', COUNT, ['0', 'many']],
];

const CHOICES: readonly [verb: string, option: string, allowed: string][] = [
  ['prune', '--per <field>', 'Allowed choices are application, model.'],
  ['du', '--by <field>', 'Allowed choices are application, model, month.'],
];

describe('a value that cannot be', () => {
  it.each(REFUSED)(
    'of %s %s is refused, with the option and what is allowed',
    async (verb, option, allowed, values) => {
      const flag = option.split(' ')[0] as string;
      for (const value of values) {
        const expected = `error: option '${option}' argument '${value}' is invalid. ${allowed}`;
        expect(await told([verb, `${flag}=${value}`])).toBe(expected);
      }
    },
  );

  it.each(CHOICES)('of %s %s is refused, with the choices', async (verb, option, allowed) => {
    const flag = option.split(' ')[0] as string;
    expect(await told([verb, flag, 'tenant'])).toBe(
      `error: option '${option}' argument 'tenant' is invalid. ${allowed}`,
    );
  });
});

describe('options that do not go together', () => {
  it.each([
    [['gc', '--every', '6h', '--dry-run'], '--every <duration>', '-n, --dry-run'],
    [['gc', '--history', '--every', '6h'], '--history', '--every <duration>'],
    [['gc', '--every', '6h', '--erase'], '--every <duration>', '--erase'],
    [['gc', '--history', '--full'], '--history', '--full'],
    [['gc', '--history', '--erase'], '--history', '--erase'],
    [['gc', '--history', '--grace', '1h'], '--history', '--grace <duration>'],
    [['gc', '--history', '--shard', '0/2'], '--history', '--shard <i/n>'],
    [['gc', '--history', '--deadline', '1h'], '--history', '--deadline <duration>'],
    [['gc', '--history', '--concurrency', '2'], '--history', '--concurrency <n>'],
    [['gc', '--erase', '--grace', '1h'], '--erase', '--grace <duration>'],
    [['gc', '--erase', '--full'], '--erase', '--full'],
    [['gc', '--erase', '--shard', '0/2'], '--erase', '--shard <i/n>'],
    [['gc', '--erase', '--concurrency', '2'], '--erase', '--concurrency <n>'],
    [['hold', 'a', '--release', '--reason', 'x'], '--release', '--reason <text>'],
    [['hold', '--list', '--release'], '--release', '--list'],
  ])('%j are refused, both named', async (args, one, other) => {
    expect(await told(args)).toBe(`error: option '${one}' cannot be used with option '${other}'`);
  });
});

describe('arguments that are missing', () => {
  it.each([
    ['rm', 'id'],
    ['backup', 'directory'],
    ['restore', 'directory'],
  ])('of %s are asked for', async (verb, argument) => {
    expect(await told([verb])).toBe(`error: missing required argument '${argument}'`);
  });
});

describe('values at the edge', () => {
  it.each([
    ['gc', '--grace=0', '--deadline=0', '--shard=0/1', '--concurrency=1', '--full'],
    ['gc', '--every=1s', '--jitter=0', '--grace=1.5h'],
    ['gc', '--history'],
    ['gc', '--history', '--limit=1'],
    ['audit', '--sample=0%'],
    ['audit', '--sample=100%', '--repair', '--deep'],
    ['audit', '--sample=0.001'],
    [
      'prune',
      '--older-than=0',
      '--idle-for=2w',
      '--keep-last=1',
      '--per=model',
      '--where=a.b=',
      '--dry-run',
    ],
    ['du', '--by=month', '--top=1'],
  ])('are taken: varve %s %s …', async (...args) => {
    expect(await told(args)).toBe('taken');
  });
});

/** Options that, left out, leave out what they do: they select, demand or name something. */
const WITHOUT_DEFAULT =
  /^(--(application|model|since|until|where|older-than|idle-for|keep-last|if-revision|idempotency-key|every|by)|-s, --store) /;

/** Every command with its own options, those of `blob` one by one. */
function commands(): readonly Command[] {
  const program = addGlobalOptions(new Command('varve'));
  for (const addCommand of COMMANDS) addCommand(program, async () => {});
  return [program, ...program.commands.flatMap((command) => [command, ...command.commands])];
}

describe('the help of a command', () => {
  it('shows the default of every option that takes a value', () => {
    const untold = commands().flatMap((command) =>
      command.options
        .filter(({ flags, defaultValue, description }) => {
          const takesValue = flags.includes('<');
          return (
            takesValue &&
            defaultValue === undefined &&
            !/\(default: .*\)/.test(description) &&
            !WITHOUT_DEFAULT.test(flags)
          );
        })
        .map(({ flags }) => `${command.name()} ${flags}`),
    );
    expect(untold).toEqual([]);
  });

  it('shows the units where it takes a duration or an age', async () => {
    for (const command of commands()) {
      if (!command.options.some(({ flags }) => /<(duration|age|time)>/.test(flags))) continue;
      let help = '';
      command.configureOutput({
        writeOut: (text) => {
          help += text;
        },
      });
      command.outputHelp();
      expect(help, command.name()).toContain('mo (30 days) or y (365 days)');
    }
  });
});
