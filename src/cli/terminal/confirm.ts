import { createInterface } from 'node:readline';
import { throwIfAborted } from '../../core/abort.ts';
import type { Terminal } from './terminal.ts';

/** Whether a person can be asked: input comes from a terminal, and standard error is one. */
export function canAsk({ stdin, stderr }: Terminal): boolean {
  return stdin.isTTY === true && stderr.isTTY === true;
}

/**
 * Asks on standard error. Returns whether the answer is yes; an empty answer and the end of input
 * mean no.
 */
export async function confirm(
  { stdin, stderr }: Terminal,
  question: string,
  signal: AbortSignal,
): Promise<boolean> {
  stderr.write(`${question} [y/N] `);
  const lines = createInterface({ input: stdin, signal });
  try {
    for await (const line of lines) return /^\s*y(es)?\s*$/i.test(line);
    throwIfAborted(signal);
    stderr.write('\n');
    return false;
  } finally {
    lines.close();
  }
}
