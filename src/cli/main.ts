#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { COMMANDS } from './commands/index.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { Output, ReaderGone } from './output.ts';
import { addGlobalOptions, type GlobalOptions, Session, tellError } from './session.ts';

/** Exit codes of processes that a signal ended, as shells count them. */
const SIGNALS = { SIGINT: EXIT.interrupted, SIGTERM: 143 } as const;

const EXIT_CODES = `
Exit codes:
  0 done   1 failed   2 wrong usage   3 partly done   4 not found   5 corruption
  6 conflict   7 unavailable, try again   130 interrupted`;

const output = new Output(process.stdout);
const controller = new AbortController();
let interruptedBy: keyof typeof SIGNALS | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interruptedBy !== undefined) process.exit(SIGNALS[signal]);
    interruptedBy = signal;
    controller.abort(new Error(signal));
  });
}

const code = await main();
process.exit(interruptedBy === undefined ? code : SIGNALS[interruptedBy]);

async function main(): Promise<number> {
  let session: Session | undefined;
  const run = async (command: Command, action: (session: Session) => Promise<void>): Promise<void> => {
    session = new Session(command.optsWithGlobals<GlobalOptions>(), output, controller.signal);
    try {
      await action(session);
    } finally {
      await session.close();
    }
  };

  const program = addGlobalOptions(new Command('varve'))
    .description('Archives LLM conversations as content-addressed, deduplicated segments.')
    .version(version(), '-V, --version', 'print the version')
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(--help shows the usage)')
    .addHelpText('after', EXIT_CODES)
    .exitOverride();
  for (const addCommand of COMMANDS) addCommand(program, run);

  try {
    await program.parseAsync();
    await output.finish();
    return session?.exitCode ?? EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (error instanceof ReaderGone) return EXIT.ok;
    if (interruptedBy === undefined) tellError(error, session?.json ?? false);
    else session?.note('interrupted');
    return exitCodeOf(error);
  }
}

/** package.json is two folders up, from src/cli as well as from dist/cli. */
function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}
