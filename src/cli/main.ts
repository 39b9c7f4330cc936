#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { version } from '../version.ts';
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
/** Whether a signal is how the command is meant to end. */
let endsBySignal = false;
let interruptedBy: keyof typeof SIGNALS | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interruptedBy !== undefined) process.exit(SIGNALS[signal]);
    interruptedBy = signal;
    controller.abort(new Error(signal));
  });
}

const code = await main();
process.exit(interruptedBy === undefined || endsBySignal ? code : SIGNALS[interruptedBy]);

async function main(): Promise<number> {
  let session: Session | undefined;
  const run = async (command: Command, action: (session: Session) => Promise<void>): Promise<void> => {
    session = new Session(command.optsWithGlobals<GlobalOptions>(), output, controller.signal);
    try {
      await action(session);
      endsBySignal = session.endsBySignal;
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
