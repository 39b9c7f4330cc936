import { isVarveError } from '../../../core/errors.ts';
import type { Protocol } from '../tables/protocol.ts';
import type { Attempt } from './attempt.ts';

/** Heartbeats within the time after which an attempt may be fenced. */
const BEATS_PER_TIMEOUT = 3;

/**
 * Waits for `work`, and sends heartbeats meanwhile for attempts whose `pending` is stored. Nothing
 * else may swap their objects until it has settled. A heartbeat that fails is not an error: the
 * commit finds out whether somebody fenced the attempt.
 */
export async function withHeartbeats<Result>(
  protocol: Protocol,
  attempts: readonly Attempt[],
  work: Promise<Result>,
): Promise<Result> {
  const ended = new AbortController();
  const beating = beatUntil(protocol, attempts, ended.signal);
  try {
    return await work;
  } finally {
    ended.abort();
    await beating;
  }
}

async function beatUntil(
  { clock, settings }: Protocol,
  attempts: readonly Attempt[],
  ended: AbortSignal,
): Promise<void> {
  for (;;) {
    try {
      await clock.sleep(settings.leaseMs / BEATS_PER_TIMEOUT, ended);
    } catch {
      return;
    }
    if (ended.aborted) return;
    await Promise.all(attempts.map(beat));
  }
}

async function beat(attempt: Attempt): Promise<void> {
  if (attempt.pending === undefined) return;
  try {
    await attempt.swap(attempt.announcing([]));
  } catch (error) {
    if (!isVarveError(error)) throw error;
  }
}
