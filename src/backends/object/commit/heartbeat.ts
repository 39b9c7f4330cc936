import { isVarveError } from '../../../core/errors.ts';
import type { Protocol } from '../tables/protocol.ts';
import type { ManifestJob } from './manifest-job.ts';

/** An attempt gives a sign of life this often within its lease. */
const BEATS_PER_LEASE = 3;

/**
 * Waits for `work`, renewing meanwhile the leases of attempts whose `pending` is stored. Nothing
 * else may swap their records until it has settled. A lease that cannot be renewed is not an error:
 * the commit finds out.
 */
export async function keepLeases<Result>(
  protocol: Protocol,
  jobs: readonly ManifestJob[],
  work: Promise<Result>,
): Promise<Result> {
  const ended = new AbortController();
  const renewing = renewUntil(protocol, jobs, ended.signal);
  try {
    return await work;
  } finally {
    ended.abort();
    await renewing;
  }
}

async function renewUntil(
  protocol: Protocol,
  jobs: readonly ManifestJob[],
  ended: AbortSignal,
): Promise<void> {
  const { clock, settings } = protocol;
  for (;;) {
    try {
      await clock.sleep(settings.leaseMs / BEATS_PER_LEASE, ended);
    } catch {
      return;
    }
    if (ended.aborted) return;
    await Promise.all(jobs.map((job) => renew(protocol, job)));
  }
}

async function renew(
  { manifests, randomness, settings }: Protocol,
  job: ManifestJob,
): Promise<void> {
  if (job.pending === undefined) return;
  try {
    const { seen } = await manifests.swap(
      job.key,
      job.seen,
      job.announcing([], randomness.nonce(), settings.leaseMs),
    );
    job.sees(seen);
  } catch (error) {
    if (!isVarveError(error)) throw error;
  }
}
