#!/usr/bin/env node
import { runCli } from './run-cli.ts';
import { undecodedArgument } from './session/argument-bytes.ts';
import { EXIT } from './session/exit-codes.ts';

/** Exit codes of processes that a signal ended, as shells count them. */
const SIGNALS = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const;

/** What has not ended so many ms after a signal is left as a crash would leave it. */
const SIGNAL_GRACE_MS = 900;

const controller = new AbortController();
let interruptedBy: keyof typeof SIGNALS | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // Whoever asks twice does not want to wait.
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
