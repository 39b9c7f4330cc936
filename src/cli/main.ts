#!/usr/bin/env node
import { EXIT } from './exit-codes.ts';
import { runCli } from './run-cli.ts';

/** Exit codes of processes that a signal ended, as shells count them. */
const SIGNALS = { SIGINT: EXIT.interrupted, SIGTERM: 143 } as const;

const controller = new AbortController();
let interruptedBy: keyof typeof SIGNALS | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interruptedBy !== undefined) process.exit(SIGNALS[signal]);
    interruptedBy = signal;
    controller.abort(new Error(signal));
  });
}

const { exitCode, endsBySignal } = await runCli(process.argv.slice(2), process, controller.signal);
process.exit(interruptedBy === undefined || endsBySignal ? exitCode : SIGNALS[interruptedBy]);
