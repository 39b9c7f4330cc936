import type { ManifestKey, NewSegment } from '../../src/backends/contract/manifests.ts';
import type { Actor } from './actor.ts';
import type { Scene } from './exploration.ts';
import { SEGMENTS } from './operations.ts';
import { EPOCH } from './simulated-process.ts';
import type { World } from './world.ts';

const A: ManifestKey = { kind: 'conversation', id: 'a' };
const B: ManifestKey = { kind: 'conversation', id: 'b' };
const SHARED = SEGMENTS.slice(0, 1);

type Part = (world: World, actor: Actor) => Promise<void>;

const put =
  (key: ManifestKey, segments: readonly NewSegment[] = SHARED): Part =>
  ({ register }, actor) =>
    actor.commit([register.put(key, 'replace', [segments])]);

const append =
  (key: ManifestKey, segments: readonly NewSegment[] = SHARED): Part =>
  ({ register }, actor) =>
    actor.commit([register.append(key, [segments])]);

const remove =
  (key: ManifestKey): Part =>
  ({ register }, actor) =>
    actor.commit([register.delete(key)]);

const expiring =
  (key: ManifestKey, expiresAt: number): Part =>
  ({ register }, actor) =>
    actor.commit([register.put(key, 'replace', [SHARED], { expiresAt })]);

const hold =
  (key: ManifestKey, held: boolean): Part =>
  ({ register }, actor) =>
    actor.commit([register.hold(key, held)]);

const publish =
  (key: ManifestKey): Part =>
  ({ register }, actor) =>
    actor.publish(register.put(key, 'replace', [SHARED]));

const collect: Part = async (_, actor) => {
  await actor.collect(false);
};

const reap: Part = async (_, actor) => {
  await actor.collect(true);
};

const erase: Part = async (_, actor) => {
  await actor.collect(true, { erase: true });
};

const repair: Part = async (_, actor) => {
  await actor.audit(true);
};

const read =
  (key: ManifestKey): Part =>
  async (_, actor) => {
    await actor.read(key);
  };

const then =
  (...parts: readonly Part[]): Part =>
  async (world, actor) => {
    for (const part of parts) await part(world, actor);
  };

/** Garbage: a segment that was used and is not any more. */
const garbage = then(put(A), remove(A));

/** A segment that so many manifests use that it is hot: four of them, and `extra` more. */
const hot = then(...['h1', 'h2', 'h3', 'h4', 'h5'].map((id) => put({ kind: 'pin', id })));

/** Hot, and all that were named are gone. */
const hotAndForsaken = then(
  hot,
  ...['h1', 'h2', 'h3', 'h4', 'h5'].map((id) => remove({ kind: 'pin', id })),
);

/** Everything that a process may be interrupted in for good, or hear nothing of. */
const ALONE: readonly Pick<Scene, 'name' | 'setting' | 'parts'>[] = [
  { name: 'put', parts: [put(A, SEGMENTS.slice(0, 2))] },
  { name: 'put of a stored segment', setting: put(B), parts: [put(A)] },
  { name: 'replace', setting: put(A), parts: [put(A, SEGMENTS.slice(1, 2))] },
  { name: 'append', setting: put(A), parts: [append(A, SEGMENTS.slice(0, 2))] },
  { name: 'delete', setting: put(A), parts: [remove(A)] },
  { name: 'publish', parts: [publish(A)] },
  { name: 'hold', setting: put(A), parts: [then(hold(A, true), hold(A, false))] },
  { name: 'collect', setting: garbage, parts: [collect] },
  { name: 'collect in full', setting: garbage, parts: [reap] },
  { name: 'collect what has expired', setting: expiring(A, EPOCH), parts: [collect] },
  { name: 'erase', setting: garbage, parts: [erase] },
  { name: 'cool', setting: then(hotAndForsaken, put(A)), parts: [repair] },
];

/** Pairs that are explored once more with one request that goes wrong, wherever that may be. */
const FAULTY: readonly Pick<Scene, 'name' | 'setting' | 'parts' | 'interruptions'>[] = [
  { name: 'append beside append', setting: put(A, []), parts: [append(A, []), append(A, [])] },
  { name: 'put beside put of one segment', parts: [put(A), put(B)] },
  { name: 'put beside collect', setting: garbage, parts: [put(B), collect] },
  { name: 'delete beside put of one segment', setting: put(A), parts: [remove(A), put(B)] },
  { name: 'replace beside repair', setting: put(A), parts: [put(A, []), repair] },
  {
    name: 'renew beside expiry',
    interruptions: 1,
    setting: expiring(A, EPOCH),
    parts: [expiring(A, EPOCH + 1e9), collect],
  },
  { name: 'two collectors', setting: garbage, parts: [collect, collect] },
];

/**
 * What takes so many requests that it is run through with one interruption, and for a while with
 * two.
 */
const COOLING: readonly Pick<Scene, 'name' | 'setting' | 'parts'>[] = [
  {
    name: 'put beside cooling and collecting',
    setting: hotAndForsaken,
    parts: [put(A), then(repair, repair, reap)],
  },
  { name: 'put beside two coolers', setting: hotAndForsaken, parts: [put(A), repair, repair] },
  {
    name: 'put beside a cooler and a repair that collects',
    setting: then(hotAndForsaken, put(A)),
    parts: [repair, then(repair, reap)],
  },
];

export const SCENES: readonly Scene[] = [
  { name: 'put beside put of one segment', parts: [put(A), put(B)] },
  { name: 'put beside put of one manifest', parts: [put(A), put(A)] },
  { name: 'put beside collect', setting: garbage, parts: [put(B), collect] },
  {
    name: 'put beside two collectors',
    interruptions: 2,
    setting: garbage,
    parts: [put(B), collect, collect],
  },
  { name: 'delete beside put of one segment', setting: put(A), parts: [remove(A), put(B)] },
  {
    name: 'delete beside put beside collect',
    setting: put(A),
    parts: [then(remove(A), collect), put(B)],
  },
  { name: 'delete beside put of one manifest', setting: put(A), parts: [remove(A), put(A)] },
  { name: 'append beside replace', setting: put(A), parts: [append(A), put(A)] },
  { name: 'append beside append', setting: put(A, []), parts: [append(A), append(A)] },
  { name: 'append beside delete', setting: put(A), parts: [append(A), remove(A)] },
  { name: 'put beside reaping', isHasty: true, parts: [put(A), reap] },
  {
    name: 'replace beside reaping',
    isHasty: true,
    setting: put(A),
    parts: [put(A, SEGMENTS.slice(0, 2)), reap],
  },
  { name: 'put beside a repair that takes it for dead', isHasty: true, parts: [put(A), repair] },
  { name: 'publish beside reaping', isHasty: true, parts: [publish(A), reap] },
  { name: 'delete beside repair', setting: put(A), parts: [remove(A), repair] },
  { name: 'replace beside repair', setting: put(A), parts: [put(A, []), repair] },
  {
    name: 'put beside cooling',
    interruptions: 2,
    setting: hotAndForsaken,
    parts: [put(A), repair],
  },
  ...COOLING.map((scene) => ({ ...scene, interruptions: 1 })),
  ...COOLING.map((scene) => ({
    ...scene,
    name: `${scene.name}, once more`,
    interruptions: 2,
    isLarge: true,
  })),
  {
    name: 'read beside replace and collect',
    spillAbove: 0,
    setting: put(A),
    parts: [read(A), then(put(A), collect)],
  },
  { name: 'hold beside delete', setting: put(A, []), parts: [hold(A, true), remove(A)] },
  { name: 'hold beside replace', setting: put(A, []), parts: [hold(A, true), put(A, [])] },
  {
    name: 'hold beside expiry',
    setting: expiring(A, EPOCH),
    parts: [hold(A, true), collect],
  },
  {
    name: 'renew beside expiry',
    setting: expiring(A, EPOCH),
    parts: [expiring(A, EPOCH + 1e9), collect],
  },
  { name: 'put beside erasure', setting: garbage, parts: [put(B), erase] },
  { name: 'delete beside erasure', setting: put(A), parts: [remove(A), erase] },
  ...ALONE.map((scene) => ({ ...scene, name: `${scene.name}, with a fault`, faults: 1 })),
  ...FAULTY.map((scene) => ({ ...scene, name: `${scene.name}, with a fault`, faults: 1 })),
];
