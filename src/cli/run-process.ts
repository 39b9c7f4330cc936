import { runCli } from './run-cli.ts';
import { undecodedArgument } from './session/argument-bytes.ts';
import { EXIT } from './session/exit-codes.ts';

/** Exit codes of processes that a signal ended, as shells number them. */
const SIGNALS = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const;

/** Milliseconds after a signal at which the process exits with unfinished work, as in a crash. */
const SIGNAL_GRACE_MS = 900;

/** Runs the command line in this process, which exits with its exit code. */
export async function runProcess(): Promise<never> {
  const controller = new AbortController();
  let interruptedBy: keyof typeof SIGNALS | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      // Exits at once on a second signal.
      if (interruptedBy !== undefined) process.exit(SIGNALS[signal]);
      interruptedBy = signal;
      setTimeout(() => process.exit(SIGNALS[signal]), SIGNAL_GRACE_MS).unref();
      controller.abort(new Error(signal));
    });
  }

  const args = process.argv.slice(2);
  const undecoded = undecodedArgument(args);
  if (undecoded !== undefined) {
    process.stderr.write(
      `varve: the argument ${JSON.stringify(undecoded)} is not UTF-8: give it in UTF-8\n`,
    );
    process.exit(EXIT.usage);
  }
  const { exitCode, endsBySignal } = await runCli(args, process, controller.signal);
  process.exit(interruptedBy === undefined || endsBySignal ? exitCode : SIGNALS[interruptedBy]);
}
