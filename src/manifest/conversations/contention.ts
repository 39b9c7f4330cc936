import { setTimeout as sleep } from 'node:timers/promises';
import { type AbortOptions, throwIfAborted } from '../../core/abort.ts';

/**
 * How often a write that lost a race reads again and retries, unless the caller chose the revision.
 */
export const WRITE_ATTEMPTS = 64;

/** Longest pause between two attempts, in ms. */
const LONGEST_PAUSE_MS = 64;

/**
 * Pauses before the attempt after `attempt`, with full jitter (a random time up to a bound that
 * doubles), so that competing writers do not collide again.
 *
 * @throws `ABORTED`.
 */
export async function pauseAfter(attempt: number, { signal }: AbortOptions): Promise<void> {
  await sleep(Math.random() * Math.min(LONGEST_PAUSE_MS, 2 ** (attempt - 1)));
  throwIfAborted(signal);
}
