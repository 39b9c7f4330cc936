import { because, isVarveError, VarveError } from '../../core/errors.ts';
import type { Randomness } from '../../core/system/clock.ts';
import { deleteAll } from './delete-all.ts';
import type { ObjectStore, PutResult, RequestOptions } from './object-store.ts';
import { PROBE_PREFIX, probeRemains } from './probe-remains.ts';
import { UnfitService, VERSIONING_ADVICE } from './service-watch.ts';

/** Number of what the probe tries: what an older one found is not relied on. */
export const PROBE_PROTOCOL = 1;

const MAX_RACES = 5;

/** How often a probe starts over because an answer was lost; the call limits its time. */
const MAX_PROBES = 20;

/** How often a recheck is repeated because its answer was lost. */
const MAX_RECHECKS = 3;

/** The tag of no object. */
const NO_TAG = '"00000000000000000000000000000000"';

/** What a probe measured. */
export interface ProbeFacts {
  /** Who was probed, see `ObjectHead.servedBy`; `undefined`: several, or nobody in particular. */
  readonly servedBy: string | undefined;
  /** The service's clock, in ms since the epoch. */
  readonly serverTime: number;
  /** The service's clock minus this machine's, in ms; many services give whole seconds. */
  readonly clockOffsetMs: number;
  /** How long the probe took, in ms: five round trips. */
  readonly durationMs: number;
}

/**
 * Whether a service really does what the protocol rests on: of two racing creations one wins;
 * If-Match holds with the right tag, and not with an old one or on an absent key; a write is seen
 * at once by reading and listing. About nine requests; a service that pretends would silently lose
 * references. A write that is not answered proves nothing, so the probe starts over under another
 * key. It also deletes what interrupted probes have left.
 *
 * @throws `INVALID_ARGUMENT` that names what the service does wrong; `UNAVAILABLE` when writes are
 * not answered; what the store throws.
 */
export async function probeConditions(
  store: ObjectStore,
  randomness: Pick<Randomness, 'nonce'>,
  options: RequestOptions = {},
): Promise<ProbeFacts> {
  const begin = performance.now();
  let unanswered: Unanswered | undefined;
  for (let probes = 1; ; probes++) {
    try {
      const seen = await probe(store, `${PROBE_PREFIX}${randomness.nonce()}`, options);
      return { ...seen, durationMs: performance.now() - begin };
    } catch (error) {
      if (error instanceof Unanswered) {
        if (isVarveError(error.cause, 'ABORTED')) throw error.cause;
        // What the service answered first says more than how the time for more ran out.
        unanswered ??= error;
        if (probes < MAX_PROBES) continue;
      } else if (unanswered === undefined || !isRetryable(error)) throw error;
      throw gaveUp(unanswered);
    }
  }
}

/**
 * Whether a service that was probed before still refuses a write with If-Match and a tag that the
 * object never had. One request. A service that stores it instead stores what was there.
 *
 * @param seen an object, as it was seen.
 * @throws as {@link probeConditions}.
 */
export async function recheckConditions(
  store: ObjectStore,
  seen: { readonly key: string; readonly body: Uint8Array },
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const result = await store.put(seen.key, seen.body, { kind: 'match', etag: NO_TAG });
    if (result.outcome === 'refused') return;
    if (result.outcome === 'stored')
      throw refused('a write with If-Match and an old tag is accepted', NONE);
    if (isVarveError(result.error, 'ABORTED')) throw result.error;
    if (tries === MAX_RECHECKS) throw gaveUp(new Unanswered('', { cause: result.error }));
  }
}

/** A write of the probe whose outcome is not known; its cause says why. */
class Unanswered extends Error {}

function isRetryable(error: unknown): boolean {
  return isVarveError(error) && error.retryable;
}

function gaveUp({ cause }: Unanswered): VarveError {
  const message = `the service could not be probed: a write was not answered${because(cause)}`;
  return new VarveError('UNAVAILABLE', message, { cause });
}

async function probe(
  store: ObjectStore,
  name: string,
  options: RequestOptions,
): Promise<Omit<ProbeFacts, 'durationMs'>> {
  const [key, absentKey] = [`${name}.a`, `${name}.b`];
  let remains: readonly string[] = [];
  try {
    const { first, body } = await race(store, key, absentKey, options);
    const [seen, page] = await Promise.all([
      store.get(key, options),
      store.list(PROBE_PREFIX, options),
    ]);
    remains = probeRemains(page.objects, page.serverTime);
    // Where a thousand others come before it.
    const listed = page.isTruncated ? await store.list(name, options) : page;
    if (seen === undefined || !body.equals(seen.body) || seen.etag !== first.etag) {
      throw refused('a read after a write does not see it', STALE);
    }
    if (!listed.objects.some((object) => object.key === key && object.etag === first.etag)) {
      throw refused('a listing after a write does not see it', STALE);
    }
    const second = known(
      await store.put(key, Buffer.from('second'), { kind: 'match', etag: first.etag }, options),
    );
    if (second.outcome !== 'stored')
      throw refused('a write with If-Match and the right tag is refused', QUOTED);
    const [stale, again] = await Promise.all([
      store.put(key, Buffer.from('third'), { kind: 'match', etag: first.etag }, options),
      store.head(key, options),
    ]);
    if (known(stale).outcome === 'stored')
      throw refused('a write with If-Match and an old tag is accepted', NONE);
    if (again?.etag !== second.etag)
      throw refused('a read after an overwrite does not see it', STALE);
    const servers = new Set([first, seen, second, again].map(({ servedBy }) => servedBy));
    const { serverTime, servedBy } = second;
    return {
      servedBy: servers.size === 1 ? servedBy : undefined,
      serverTime,
      clockOffsetMs: serverTime - Date.now(),
    };
  } finally {
    // Remains are harmless, and an earlier error matters more.
    await deleteAll(store, [key, absentKey, ...remains], options).catch(() => {});
  }
}

const NONE =
  'it does not honour conditional writes, which Varve needs: use one that does (AWS S3, ' +
  'Ceph 20, MinIO of 2025-09, R2)';
const QUOTED = 'Ceph 16 and 18 compare tags without their quotes: upgrade it to 20';
const ABSENT = 'MinIO before 2025-09 does that: upgrade it';
const STALE = 'it is not strongly consistent, or a cache is in between: use its own endpoint';

type Stored = Extract<PutResult, { outcome: 'stored' }>;

async function race(
  store: ObjectStore,
  key: string,
  absentKey: string,
  options: RequestOptions,
): Promise<{ first: Stored; body: Buffer }> {
  const bodies = [Buffer.from('one'), Buffer.from('other')];
  for (let races = 0; races < MAX_RACES; races++) {
    const [absent, ...creations] = (
      await Promise.allSettled([
        store.put(absentKey, Buffer.from('x'), { kind: 'match', etag: NO_TAG }, options),
        ...bodies.map((body) => store.put(key, body, { kind: 'absent' }, options)),
      ])
    ).map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return known(result.value);
    });
    if (absent?.outcome === 'stored')
      throw refused('a write with If-Match on an absent key is accepted', ABSENT);
    const winners = creations.flatMap((result, at) =>
      result.outcome === 'stored' ? [{ result, at }] : [],
    );
    if (winners.length > 1)
      throw refused('two writes with If-None-Match both created one key', NONE);
    const [winner] = winners;
    if (winner !== undefined) return { first: winner.result, body: bodies[winner.at] as Buffer };
    // Each may lose to the other, so that neither is stored.
  }
  throw refused(`none of ${MAX_RACES * 2} writes with If-None-Match created an absent key`, NONE);
}

function known(result: PutResult): Exclude<PutResult, { outcome: 'unknown' }> {
  if (result.outcome === 'unknown')
    throw new Unanswered('a write was not answered', { cause: result.error });
  if (result.outcome === 'stored' && result.keepsVersions)
    throw refused('its bucket keeps old versions', VERSIONING_ADVICE);
  return result;
}

function refused(fault: string, advice: string): UnfitService {
  return new UnfitService(`this storage service cannot keep a store: ${fault}; ${advice}`);
}
