import { MANIFEST_KINDS } from '../../src/backends/contract/manifests.ts';
import { holderOf, manifestObjectKey, segmentKey } from '../../src/backends/object/format/keys.ts';
import { type Token, tokenOf } from '../../src/backends/object/format/sidecar.ts';
import { Actor } from './actor.ts';
import { SEGMENTS } from './operations.ts';
import { EPOCH } from './simulated-process.ts';
import type { Network } from './simulated-store.ts';
import { promise } from './violation.ts';
import type { World } from './world.ts';

/** Long enough for every lease and every mark of a writer to have grown old. */
const REST_MS = 60 * 60 * 1000;

/** Longer than any lease. */
const LEASE_MS = 60_000;

/**
 * `harsh`: things went wrong. `kind`: nothing did, so that nothing may be left for a repair to
 * find. `fair`: processes died and answers were lost, but nobody was late, so that everyday
 * collections have to find what is left.
 */
export type Weather = 'harsh' | 'fair' | 'kind';

/**
 * What has to be true when everybody has stopped and an operator has cleaned up: the counts are
 * those of the manifests, and nothing is left of what was begun, given up or deleted. On a network
 * where nothing goes wrong any more.
 */
export async function assertQuiescence(
  world: World,
  network: Network,
  weather: Weather,
): Promise<void> {
  await world.scheduler.finish(wait(world, REST_MS));
  const { backend } = world.start('operator', network);
  const operator = new Actor(world, backend, 'operator');
  const isDamaged = world.watch.everDamaged.size > 0;
  await world.scheduler.finish(cleanUp(world, operator, isDamaged ? 'harsh' : weather));
  assertClean(world);
}

async function cleanUp(world: World, operator: Actor, weather: Weather): Promise<void> {
  // What was hot left names that nobody kept up.
  if (weather !== 'harsh' && !world.watch.wasHot) {
    await operator.collect(false);
    assertExpiredGone(world);
    if (weather === 'fair') {
      // What it deleted or fenced had new bodies since.
      await wait(world, LEASE_MS);
      await operator.collect(false);
    }
    const missed = (await operator.collect(true))?.collectedSegments;
    promise(missed === 0, () => `hints did not tell of ${missed} segments that nothing references`);
  }
  if (weather === 'kind' && !world.watch.wasHot) {
    const findings = await operator.audit(false);
    promise(
      findings?.length === 0,
      () => `nothing went wrong, and an audit found: ${findings?.join('; ')}`,
    );
  }
  if (world.watch.everDamaged.size > 0) await heal(world, operator);
  await operator.collect(true);
  // What it deleted for its age had a new body since, as if somebody were still at work on it.
  await wait(world, LEASE_MS);
  await operator.collect(true);
  await operator.audit(true);
  await operator.collect(true);
  const findings = await operator.audit(false);
  promise(findings?.length === 0, () => `an audit after a repair found: ${findings?.join('; ')}`);
  assertExpiredGone(world);
  for (const { key } of world.watch.records.values()) {
    const revision = await operator.read(key);
    const latest = world.history.latest(manifestObjectKey(key));
    promise(
      revision === latest.revision,
      () => `${key.kind} ${key.id} does not read back as what it holds`,
    );
  }
  for (const kind of MANIFEST_KINDS) await operator.list(kind);
  const erasure = await operator.collect(true, { erase: true });
  const remnants = erasure?.remnants?.map(({ location }) => location);
  promise(remnants?.length === 0, () => `an erasure after a repair left ${remnants?.join(', ')}`);
}

function wait({ scheduler }: World, ms: number): Promise<void> {
  return new Promise((resolve) => {
    scheduler.after(ms, resolve);
  });
}

/**
 * Marks what is damaged, and puts the same bytes again, under an id that had nothing to do with it.
 */
async function heal({ register }: World, operator: Actor): Promise<void> {
  await operator.audit(true);
  await operator.commit([register.put({ kind: 'blob', id: 'healing' }, 'replace', [SEGMENTS])]);
}

/** To be asked after a collection; the operator's clock is right. */
function assertExpiredGone({ scheduler, history, watch }: World): void {
  for (const objectKey of watch.records.keys()) {
    const { expiresAt = Number.POSITIVE_INFINITY, isHeld, bodies } = history.latest(objectKey);
    const isLeft =
      bodies !== undefined && !isHeld && expiresAt < EPOCH + scheduler.now - REST_MS / 2;
    promise(!isLeft, () => `${objectKey} was to expire at ${expiresAt}, and a collection left it`);
  }
}

function assertClean({ watch }: World): void {
  promise(
    watch.damaged.size === 0,
    () => `${[...watch.damaged.keys()].join(', ')} is left damaged`,
  );
  const references = new Map<string, Set<Token>>();
  for (const [objectKey, { current, pending, releasing }] of watch.records) {
    promise(pending.length === 0, () => `${objectKey} is left with an attempt under way`);
    promise(releasing.length === 0, () => `${objectKey} is left with references to let go of`);
    for (const [address, { gen, nonce }] of current?.holds ?? []) {
      const dataKey = segmentKey(address, gen);
      const tokens = references.get(dataKey) ?? new Set();
      references.set(dataKey, tokens.add(tokenOf(holderOf(objectKey), nonce)));
    }
  }
  for (const [address, { gen, state, refs, hot, holds }] of watch.sidecars) {
    const dataKey = segmentKey(address, gen);
    const expected = references.get(dataKey) ?? new Set();
    promise((holds?.length ?? 0) === 0, () => `${dataKey} is left with a hold`);
    if (hot) continue;
    promise(
      refs.length === expected.size && refs.every((token) => expected.has(token)),
      () => `${dataKey} counts ${refs.join(' ')} instead of ${[...expected].join(' ')}`,
    );
    promise(
      expected.size > 0 || state === 'gone',
      () => `${dataKey} is ${state} and nothing references it`,
    );
  }
  for (const [dataKey, address] of watch.data) {
    const sidecar = watch.sidecars.get(address);
    const isHot = sidecar?.hot === true && segmentKey(address, sidecar.gen) === dataKey;
    promise(
      references.has(dataKey) || isHot,
      () => `${dataKey} is left, and nothing references it`,
    );
  }
}
