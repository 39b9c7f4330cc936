import { VarveError } from '../../errors.ts';
import type { AbortOptions } from '../manifests.ts';
import type { Randomness } from './clock.ts';
import type { ObjectStore, PutResult } from './object-store.ts';

/** Below the store's prefix; what a probe that was killed leaves there is garbage. */
const PROBE_PREFIX = 'probe/';

const MAX_RACES = 5;

/** What a probe saw besides that the service can be relied upon. */
export interface ProbeFacts {
  /** The service's clock minus this machine's, in ms; the service tells whole seconds on many. */
  readonly clockOffsetMs: number;
  /** How long the probe took, in ms: five round trips. */
  readonly durationMs: number;
}

/**
 * Whether a service really does what the protocol rests on: of two racing creations one wins; If-Match holds with the right tag, and not
 * with an old one or on an absent key; a write is seen at once by reading and listing. About nine requests; a service that
 * pretends would silently lose references.
 *
 * @throws `INVALID_ARGUMENT` that names what the service does wrong; what the store throws.
 */
export async function probeConditions(
  store: ObjectStore,
  randomness: Pick<Randomness, 'nonce'>,
  options: AbortOptions = {},
): Promise<ProbeFacts> {
  const begin = performance.now();
  const name = `${PROBE_PREFIX}${randomness.nonce()}`;
  const [key, absentKey] = [`${name}.a`, `${name}.b`];
  try {
    const { first, body } = await race(store, key, absentKey, options);
    const [seen, listed] = await Promise.all([store.get(key, options), store.list(name, options)]);
    if (seen === undefined || !body.equals(seen.body) || seen.etag !== first.etag) {
      throw refused('a read after a write does not see it', STALE);
    }
    if (!listed.objects.some((object) => object.key === key && object.etag === first.etag)) {
      throw refused('a listing after a write does not see it', STALE);
    }
    const second = known(await store.put(key, Buffer.from('second'), { kind: 'match', etag: first.etag }, options));
    if (second.outcome !== 'stored') throw refused('a write with If-Match and the right tag is refused', QUOTED);
    const [stale, again] = await Promise.all([
      store.put(key, Buffer.from('third'), { kind: 'match', etag: first.etag }, options),
      store.head(key, options),
    ]);
    if (known(stale).outcome === 'stored') throw refused('a write with If-Match and an old tag is accepted', NONE);
    if (again?.etag !== second.etag) throw refused('a read after an overwrite does not see it', STALE);
    return { clockOffsetMs: second.serverTime - Date.now(), durationMs: performance.now() - begin };
  } finally {
    // What stays is harmless, and what went wrong before matters more.
    await store.delete([key, absentKey]).catch(() => {});
  }
}

const NONE =
  'it does not honour conditional writes, which Varve needs: use one that does (AWS S3, Ceph 20, MinIO of 2025-09, R2)';
const QUOTED = 'Ceph 16 and 18 compare tags without their quotes: upgrade it to 20';
const ABSENT = 'MinIO before 2025-09 does that: upgrade it';
const STALE = 'it is not strongly consistent, or a cache is in between: use its own endpoint';

type Stored = Extract<PutResult, { outcome: 'stored' }>;

async function race(
  store: ObjectStore,
  key: string,
  absentKey: string,
  options: AbortOptions,
): Promise<{ first: Stored; body: Buffer }> {
  const bodies = [Buffer.from('one'), Buffer.from('other')];
  for (let races = 0; races < MAX_RACES; races++) {
    const [absent, ...creations] = (
      await Promise.allSettled([
        store.put(absentKey, Buffer.from('x'), { kind: 'match', etag: '"00000000000000000000000000000000"' }, options),
        ...bodies.map((body) => store.put(key, body, { kind: 'absent' }, options)),
      ])
    ).map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return known(result.value);
    });
    if (absent?.outcome === 'stored') throw refused('a write with If-Match on an absent key is accepted', ABSENT);
    const winners = creations.flatMap((result, at) => (result.outcome === 'stored' ? [{ result, at }] : []));
    if (winners.length > 1) throw refused('two writes with If-None-Match both created one key', NONE);
    const [winner] = winners;
    if (winner !== undefined) return { first: winner.result, body: bodies[winner.at] as Buffer };
    // Both may lose to each other, with nothing there.
  }
  throw refused(`none of ${MAX_RACES * 2} writes with If-None-Match created an absent key`, NONE);
}

function known(result: PutResult): Exclude<PutResult, { outcome: 'unknown' }> {
  if (result.outcome === 'unknown') {
    throw new VarveError('UNAVAILABLE', 'the service could not be probed: a write was not answered', {
      cause: result.error,
    });
  }
  return result;
}

function refused(fault: string, advice: string): VarveError {
  return new VarveError('INVALID_ARGUMENT', `this storage service cannot keep a store: ${fault}; ${advice}`);
}
