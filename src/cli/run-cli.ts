import { Command, CommanderError } from 'commander';
import { version } from '../core/version.ts';
import { COMMANDS } from './commands/index.ts';
import { EXIT, exitCodeOf } from './session/exit-codes.ts';
import { Output, ReaderGone } from './session/output.ts';
import { addGlobalOptions, type GlobalOptions, printError, Session } from './session/session.ts';
import type { Terminal } from './terminal/terminal.ts';

const EXIT_CODES = `
Exit codes:
  0 done   1 failed   2 wrong usage   3 partly done   4 not found   5 corruption
  6 conflict   7 unavailable, try again   130 interrupted   143 terminated`;

/** How a run of the command line ended. */
export interface Ending {
  readonly exitCode: number;
  /**
   * Whether a signal is the normal end of the command; then it does not count as an interruption.
   */
  readonly endsBySignal: boolean;
}

/**
 * Runs `varve ...args`. Reports errors on standard error and turns them into exit codes.
 *
 * @param signal ends the running command in an orderly way when it fires.
 */
export async function runCli(
  args: readonly string[],
  terminal: Terminal,
  signal: AbortSignal,
): Promise<Ending> {
  const { stdout, stderr } = terminal;
  const output = new Output(stdout);
  let session: Session | undefined;
  let endsBySignal = false;
  const run = async (
    command: Command,
    action: (session: Session) => Promise<void>,
  ): Promise<void> => {
    session = new Session(command.optsWithGlobals<GlobalOptions>(), terminal, output, signal);
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
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
    })
    .showHelpAfterError('(--help shows the usage)')
    .addHelpText('after', EXIT_CODES)
    .exitOverride();
  for (const addCommand of COMMANDS) addCommand(program, run);

  const exitCode = async (): Promise<number> => {
    try {
      await program.parseAsync(args, { from: 'user' });
      await output.finish();
      return session?.exitCode ?? EXIT.ok;
    } catch (error) {
      if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
      if (error instanceof ReaderGone) return EXIT.ok;
      if (!signal.aborted) printError(error, session?.json ?? false, stderr);
      else session?.note('interrupted');
      return exitCodeOf(error);
    }
  };
  return { exitCode: await exitCode(), endsBySignal };
}
