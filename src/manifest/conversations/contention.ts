import { setTimeout as sleep } from 'node:timers/promises';
import { type AbortOptions, throwIfAborted } from '../../core/abort.ts';

/** How often a write that lost a race reads again and retries, where the caller left that to us. */
export const WRITE_ATTEMPTS = 64;

/** Longest wait between two attempts, in ms. */
const LONGEST_PAUSE_MS = 64;

/**
 * Waits before the attempt after `attempt`: full jitter (any time up to a bound that doubles), so
 * that writers which lost to one another do not meet again.
 *
 * @throws `ABORTED`.
 */
export async function pauseAfter(attempt: number, { signal }: AbortOptions): Promise<void> {
  await sleep(Math.random() * Math.min(LONGEST_PAUSE_MS, 2 ** (attempt - 1)));
  throwIfAborted(signal);
}
