import { createInterface } from 'node:readline';
import { throwIfAborted } from '../../core/abort.ts';
import type { Terminal } from './terminal.ts';

/**
 * Whether somebody is there to be asked: the answer comes from a terminal, and the question goes to
 * one.
 */
export function canAsk({ stdin, stderr }: Terminal): boolean {
  return stdin.isTTY === true && stderr.isTTY === true;
}

/**
 * Asks on standard error. Returns whether the answer is yes; an empty one, and the end of input,
 * are no.
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
