import { z } from 'zod';
import { type AbortOptions, abortOf } from '../../../core/abort.ts';
import { parseJson } from '../../../core/json.ts';
import type { Lease } from '../../contract/reports.ts';
import { checkLease } from '../../contract/write-validation.ts';
import { leaseKey } from '../format/keys.ts';
import type { Protocol } from '../tables/protocol.ts';

const BODY = z.object({ holder: z.string(), ttlMs: z.number() });

/**
 * Takes the lease `leases/<name>.json` by compare-and-swap, unless somebody holds it. Its age is
 * the difference of two times of the server. A released lease has no duration: the object is not
 * deleted, because that is not atomic everywhere. A caller that does not learn whether a swap
 * succeeded behaves as if it had failed.
 */
export async function acquireLease(
  { store, randomness }: Pick<Protocol, 'store' | 'randomness'>,
  name: string,
  ttlMs: number,
  { signal }: AbortOptions,
): Promise<Lease | undefined> {
  checkLease(name, ttlMs);
  const key = leaseKey(name);
  const present = await store.get(key, abortOf(signal));
  if (present !== undefined && present.serverTime - present.lastModified < durationOf(present.body))
    return undefined;
  const holder = randomness.nonce();
  let etag = present?.etag;
  const swap = async (duration: number, options: AbortOptions): Promise<boolean> => {
    // The beat makes every body different: an old condition never matches again.
    const body = Buffer.from(JSON.stringify({ holder, beat: randomness.nonce(), ttlMs: duration }));
    const result = await store.put(
      key,
      body,
      etag === undefined ? { kind: 'absent' } : { kind: 'match', etag },
      options,
    );
    if (result.outcome === 'stored') etag = result.etag;
    return result.outcome === 'stored';
  };
  if (!(await swap(ttlMs, abortOf(signal)))) return undefined;
  return {
    renew: (duration, options = {}) => swap(duration, abortOf(options.signal)),
    release: async () => {
      await swap(0, {});
    },
  };
}

/** An unreadable body protects nobody. */
function durationOf(body: Uint8Array): number {
  try {
    return BODY.parse(parseJson(body)).ttlMs;
  } catch {
    return 0;
  }
}
