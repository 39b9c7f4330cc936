import type { ManifestKey, NewSegment } from '../../src/backends/backend.ts';
import type { Actor } from './actor.ts';
import type { Scene } from './exploration.ts';
import { SEGMENTS } from './operations.ts';
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
const hotAndForsaken = then(hot, ...['h1', 'h2', 'h3', 'h4', 'h5'].map((id) => remove({ kind: 'pin', id })));

export const SCENES: readonly Scene[] = [
  { name: 'put beside put of one segment', parts: [put(A), put(B)] },
  { name: 'put beside put of one manifest', interruptions: 2, parts: [put(A), put(A)] },
  { name: 'put beside collect', setting: garbage, parts: [put(B), collect] },
  { name: 'put beside two collectors', interruptions: 2, setting: garbage, parts: [put(B), collect, collect] },
  { name: 'delete beside put of one segment', setting: put(A), parts: [remove(A), put(B)] },
  {
    name: 'delete beside put beside collect',
    interruptions: 2,
    setting: put(A),
    parts: [then(remove(A), collect), put(B)],
  },
  { name: 'delete beside put of one manifest', interruptions: 2, setting: put(A), parts: [remove(A), put(A)] },
  { name: 'append beside replace', setting: put(A), parts: [append(A), put(A)] },
  { name: 'append beside append', interruptions: 2, setting: put(A, []), parts: [append(A), append(A)] },
  { name: 'append beside delete', setting: put(A), parts: [append(A), remove(A)] },
  { name: 'put beside reaping', interruptions: 2, isHasty: true, parts: [put(A), reap] },
  {
    name: 'replace beside reaping',
    interruptions: 2,
    isHasty: true,
    setting: put(A),
    parts: [put(A, SEGMENTS.slice(0, 2)), reap],
  },
  { name: 'put beside a repair that takes it for dead', interruptions: 2, isHasty: true, parts: [put(A), repair] },
  { name: 'publish beside reaping', interruptions: 2, isHasty: true, parts: [publish(A), reap] },
  { name: 'delete beside repair', setting: put(A), parts: [remove(A), repair] },
  { name: 'replace beside repair', setting: put(A), parts: [put(A, []), repair] },
  { name: 'put beside cooling', interruptions: 2, setting: hotAndForsaken, parts: [put(A), repair] },
  {
    name: 'put beside cooling and collecting',
    interruptions: 2,
    setting: hotAndForsaken,
    parts: [put(A), then(repair, repair, reap)],
  },
  { name: 'put beside two coolers', interruptions: 2, setting: hotAndForsaken, parts: [put(A), repair, repair] },
  {
    name: 'put beside a cooler and a repair that collects',
    interruptions: 2,
    setting: then(hotAndForsaken, put(A)),
    parts: [repair, then(repair, reap)],
  },
  {
    name: 'read beside replace and collect',
    interruptions: 2,
    spillAbove: 0,
    setting: put(A),
    parts: [read(A), then(put(A), collect)],
  },
];
