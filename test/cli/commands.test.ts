import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/commands/index.ts';
import { type Result, type RunOptions, SAMPLE, Workplace } from './varve.ts';

const CONVERSATION = '{"id":"c1","model":"m","messages":[{"role":"user","content":"Hello"}]}';

/** One store's life, each command of the command line at least once; some that fail. */
const LIFE: [args: readonly string[], options?: RunOptions][] = [
  [['--version']],
  [['--help']],
  [[]],
  [['ls', '--frobnicate']],
  [['ls']],
  [['ls', '-s', 'store']],
  [['import', SAMPLE, '-s', 'store']],
  [['import', '-', '-s', 'store'], { input: 'not JSON\n' }],
  [['put', '-s', 'store'], { input: CONVERSATION }],
  [['put', '--json', '-s', 'store'], { input: CONVERSATION.replace('Hello', 'Hi') }],
  [['append', 'c1', '-s', 'store'], { input: '[{"role":"assistant","content":"Hi!"}]' }],
  [['get', 'c1', '-s', 'store']],
  [['get', 'nobody', '--json', '-s', 'store']],
  [['cat', 'c1', '-s', 'store']],
  [['ls', '--limit', '3'], { env: { VARVE_STORE: 'store' } }],
  [['stat', 'c1', '-s', 'store', '--json']],
  [['export', '-s', 'store']],
  [['blob', 'put', 'notes', '-', '-s', 'store'], { input: 'a note' }],
  [['blob', 'get', 'notes', '-s', 'store']],
  [['hold', 'place', 'c1', '-s', 'store']],
  [['rm', 'c1', '-s', 'store']],
  [['du', '-s', 'store']],
  [['info', '-s', 'store']],
  [['upgrade', '-s', 'store']],
  [['doctor', 'store']],
  [['audit', '-s', 'store']],
  [['gc', '--grace', '0h', '-s', 'store']],
  [['backup', 'copy', '-s', 'store']],
  [['restore', 'copy', '-s', 'restored']],
  [['salvage', 'store', 'salvaged']],
  [['prune', '--older-than', '90d', '--dry-run', '-s', 'store']],
];

/** What a run printed, without what depends on where it ran, when, and how long it took. */
function printed({ status, stdout, stderr }: Result, { folder }: Workplace) {
  const timeless = (text: string) =>
    text
      .replaceAll(folder, '(folder)')
      .replace(/\d{4}-\d\d-\d\d[T ][\d:.]+Z?/g, '(time)')
      .replace(/\b\d{13}\b/g, '(time)')
      .replace(/\d[\d.,]* ?(ms|s|kB|MB|GB|TB|MB\/s|kB\/s)\b/g, '(figure)');
  return { status, stdout: timeless(stdout), stderr: timeless(stderr) };
}

describe('in a process that stays and in one of its own', () => {
  const staying = new Workplace();
  const own = new Workplace();

  it.each(LIFE)('varve %j prints the same', (args, options) => {
    expect(printed(staying.varve(args, options), staying)).toEqual(
      printed(own.process(args, options), own),
    );
  });

  it('every command ran', () => {
    const program = new Command();
    for (const addCommand of COMMANDS) addCommand(program, async () => undefined);
    const ran = new Set(LIFE.map(([[verb]]) => verb));
    expect(
      program.commands.map((command) => command.name()).filter((name) => !ran.has(name)),
    ).toEqual([]);
  });
});
