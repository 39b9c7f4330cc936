import { MANIFEST_KINDS } from '../../../src/backends/contract/manifests.ts';
import {
  manifestObjectKey,
  referrerOf,
  segmentKey,
} from '../../../src/backends/object/format/keys.ts';
import { type Token, tokenOf } from '../../../src/backends/object/format/sidecar.ts';
import type { Client } from '../simulator/client.ts';
import { EPOCH } from '../simulator/simulated-process.ts';
import type { Network } from '../simulator/simulated-store.ts';
import type { Simulation } from '../simulator/simulation.ts';
import { SEGMENTS } from './tracked-writes.ts';
import { check } from './violation.ts';

/** Long enough for every heartbeat to be missed, and for every mark of a writer to be old. */
const REST_MS = 60 * 60 * 1000;

/** Longer than any attempt may be without a heartbeat. */
const HEARTBEAT_TIMEOUT_MS = 60_000;

/**
 * Which faults a run had. `all`: any. `no-delays`: processes crashed and answers were lost, but no
 * request and no process was late, so everyday collections have to find everything that is left.
 * `none`: no faults, so an audit may find nothing.
 */
export type FaultScope = 'all' | 'no-delays' | 'none';

/**
 * Checks what has to hold when all processes have stopped and an operator has cleaned up, over a
 * network without faults: the counts are those of the manifests, and nothing is left of what was
 * begun, given up or deleted.
 */
export async function assertQuiescence(
  simulation: Simulation,
  network: Network,
  faults: FaultScope,
): Promise<void> {
  await simulation.scheduler.finish(wait(simulation, REST_MS));
  const operator = simulation.start('operator', network);
  const isDamaged = simulation.checker.everDamaged.size > 0;
  await simulation.scheduler.finish(cleanUp(simulation, operator, isDamaged ? 'all' : faults));
  assertClean(simulation);
}

async function cleanUp(
  simulation: Simulation,
  operator: Client,
  faults: FaultScope,
): Promise<void> {
  // A hot segment leaves names that nobody has kept up to date.
  if (faults !== 'all' && !simulation.checker.wasHot) {
    await operator.collect(false);
    assertExpiredGone(simulation);
    if (faults === 'no-delays') {
      // It gave new bodies to what it deleted or fenced.
      await wait(simulation, HEARTBEAT_TIMEOUT_MS);
      await operator.collect(false);
    }
    const missed = (await operator.collect(true))?.collectedSegments;
    check(missed === 0, () => `no hint names ${missed} segments that nothing references`);
  }
  if (faults === 'none' && !simulation.checker.wasHot) {
    const findings = await operator.audit(false);
    check(
      findings?.length === 0,
      () => `there were no faults, but an audit found: ${findings?.join('; ')}`,
    );
  }
  if (simulation.checker.everDamaged.size > 0) await heal(simulation, operator);
  await operator.collect(true);
  // It gave new bodies to expired manifests, which look as if a writer were still at work.
  await wait(simulation, HEARTBEAT_TIMEOUT_MS);
  await operator.collect(true);
  await operator.audit(true);
  await operator.collect(true);
  const findings = await operator.audit(false);
  check(findings?.length === 0, () => `an audit after a repair found: ${findings?.join('; ')}`);
  assertExpiredGone(simulation);
  for (const { key } of simulation.checker.records.values()) {
    const revision = await operator.read(key);
    const latest = simulation.history.latest(manifestObjectKey(key));
    check(
      revision === latest.revision,
      () => `${key.kind} ${key.id} does not read back as it was stored`,
    );
  }
  for (const kind of MANIFEST_KINDS) await operator.list(kind);
  const erasure = await operator.collect(true, { erase: true });
  const remnants = erasure?.remnants?.map(({ location }) => location);
  check(remnants?.length === 0, () => `an erasure after a repair left ${remnants?.join(', ')}`);
}

function wait({ scheduler }: Simulation, ms: number): Promise<void> {
  return new Promise((resolve) => {
    scheduler.after(ms, resolve);
  });
}

/**
 * Marks what is damaged, and puts the same bytes again, under an id that is not damaged.
 */
async function heal({ writes }: Simulation, operator: Client): Promise<void> {
  await operator.audit(true);
  await operator.commit([writes.put({ kind: 'blob', id: 'healing' }, 'replace', [SEGMENTS])]);
}

/** Call this after a collection by the operator, whose clock is right. */
function assertExpiredGone({ scheduler, history, checker }: Simulation): void {
  for (const objectKey of checker.records.keys()) {
    const { expiresAt = Number.POSITIVE_INFINITY, isHeld, bodies } = history.latest(objectKey);
    const isLeft =
      bodies !== undefined && !isHeld && expiresAt < EPOCH + scheduler.now - REST_MS / 2;
    check(!isLeft, () => `${objectKey} expired at ${expiresAt}, but a collection left it`);
  }
}

function assertClean({ checker }: Simulation): void {
  check(
    checker.damaged.size === 0,
    () => `${[...checker.damaged.keys()].join(', ')} is left damaged`,
  );
  const references = new Map<string, Set<Token>>();
  for (const [objectKey, { pending, dropped }] of checker.records) {
    check(pending.length === 0, () => `${objectKey} is left with an attempt under way`);
    check(dropped.length === 0, () => `${objectKey} is left with references to drop`);
    for (const { address, gen, attempt } of checker.held.get(objectKey) ?? []) {
      const dataKey = segmentKey(address, gen);
      const tokens = references.get(dataKey) ?? new Set();
      references.set(dataKey, tokens.add(tokenOf(referrerOf(objectKey), attempt)));
    }
  }
  for (const [address, { gen, state, refs, hot, guards }] of checker.sidecars) {
    const dataKey = segmentKey(address, gen);
    const expected = references.get(dataKey) ?? new Set();
    check((guards?.length ?? 0) === 0, () => `${dataKey} is left with a guard`);
    if (hot) continue;
    check(
      refs.length === expected.size && refs.every((token) => expected.has(token)),
      () => `${dataKey} counts ${refs.join(' ')} instead of ${[...expected].join(' ')}`,
    );
    check(
      expected.size > 0 || state === 'gone',
      () => `${dataKey} is ${state}, but nothing references it`,
    );
  }
  for (const [dataKey, address] of checker.data) {
    const sidecar = checker.sidecars.get(address);
    const isHot = sidecar?.hot === true && segmentKey(address, sidecar.gen) === dataKey;
    check(references.has(dataKey) || isHot, () => `${dataKey} is left, but nothing references it`);
  }
}
