import type { ManifestKey, NewSegment } from '../../../src/backends/contract/manifests.ts';
import { SEGMENTS } from '../checks/tracked-writes.ts';
import { EPOCH } from '../simulator/simulated-process.ts';
import type { Scenario, Step } from './exploration.ts';

const A: ManifestKey = { kind: 'conversation', id: 'a' };
const B: ManifestKey = { kind: 'conversation', id: 'b' };
const SHARED = SEGMENTS.slice(0, 1);

const put =
  (key: ManifestKey, segments: readonly NewSegment[] = SHARED): Step =>
  ({ writes }, client) =>
    client.commit([writes.put(key, 'replace', [segments])]);

const append =
  (key: ManifestKey, segments: readonly NewSegment[] = SHARED): Step =>
  ({ writes }, client) =>
    client.commit([writes.append(key, [segments])]);

const remove =
  (key: ManifestKey): Step =>
  ({ writes }, client) =>
    client.commit([writes.delete(key)]);

const expiring =
  (key: ManifestKey, expiresAt: number): Step =>
  ({ writes }, client) =>
    client.commit([writes.put(key, 'replace', [SHARED], { expiresAt })]);

const hold =
  (key: ManifestKey, held: boolean): Step =>
  ({ writes }, client) =>
    client.commit([writes.hold(key, held)]);

const publish =
  (key: ManifestKey): Step =>
  ({ writes }, client) =>
    client.publish(writes.put(key, 'replace', [SHARED]));

const collect: Step = async (_, client) => {
  await client.collect(false);
};

const collectFully: Step = async (_, client) => {
  await client.collect(true);
};

const erase: Step = async (_, client) => {
  await client.collect(true, { erase: true });
};

const repair: Step = async (_, client) => {
  await client.audit(true);
};

const read =
  (key: ManifestKey): Step =>
  async (_, client) => {
    await client.read(key);
  };

/**
 * Lists all conversations, or those that are held, or are not. It reads first, so that others may
 * commit before the list begins.
 */
const list =
  (held?: boolean): Step =>
  async (_, client) => {
    await client.read(B);
    await client.list('conversation', held);
  };

/** Brings the journals of the process to pages. */
const close: Step = (_, client) => client.close();

const sequence =
  (...steps: readonly Step[]): Step =>
  async (simulation, client) => {
    for (const step of steps) await step(simulation, client);
  };

/** A manifest with pages, the next of which replaces those before. */
const grown = sequence(put(A), append(A), append(A, []), append(A));

/** Garbage: a segment that was referenced and is not any more. */
const garbage = sequence(put(A), remove(A));

/** So many manifests that the segment they reference becomes hot. */
const PINS = ['h1', 'h2', 'h3', 'h4', 'h5'].map((id): ManifestKey => ({ kind: 'pin', id }));

/** A hot segment whose manifests are all deleted. */
const hotAndUnreferenced = sequence(
  ...PINS.map((key) => put(key)),
  ...PINS.map((key) => remove(key)),
);

/** Operations of one process, each of whose requests may crash it or lose its answer. */
const ALONE: readonly Pick<Scenario, 'name' | 'setup' | 'processes'>[] = [
  { name: 'put', processes: [put(A, SEGMENTS.slice(0, 2))] },
  { name: 'put of a stored segment', setup: put(B), processes: [put(A)] },
  { name: 'replace', setup: put(A), processes: [put(A, SEGMENTS.slice(1, 2))] },
  { name: 'append', setup: put(A), processes: [append(A, SEGMENTS.slice(0, 2))] },
  { name: 'delete', setup: put(A), processes: [remove(A)] },
  { name: 'publish', processes: [publish(A)] },
  { name: 'hold', setup: put(A), processes: [sequence(hold(A, true), hold(A, false))] },
  { name: 'collect', setup: garbage, processes: [collect] },
  { name: 'collect in full', setup: garbage, processes: [collectFully] },
  { name: 'collect what has expired', setup: expiring(A, EPOCH), processes: [collect] },
  { name: 'erase', setup: garbage, processes: [erase] },
  { name: 'cool', setup: sequence(hotAndUnreferenced, put(A)), processes: [repair] },
];

/** The same where every append makes a page. */
const ALONE_WITH_PAGES: readonly Pick<Scenario, 'name' | 'setup' | 'processes'>[] = [
  { name: 'append that merges pages', setup: grown, processes: [append(A)] },
  { name: 'replace of pages', setup: grown, processes: [put(A, SEGMENTS.slice(1, 2))] },
  { name: 'delete of pages', setup: grown, processes: [remove(A)] },
];

/** Pairs that are explored once more, with a fault at any one of their requests. */
const FAULTY: readonly Pick<Scenario, 'name' | 'setup' | 'processes' | 'preemptions'>[] = [
  { name: 'append beside append', setup: put(A, []), processes: [append(A, []), append(A, [])] },
  { name: 'put beside put of one segment', processes: [put(A), put(B)] },
  { name: 'put beside collect', setup: garbage, processes: [put(B), collect] },
  { name: 'delete beside put of one segment', setup: put(A), processes: [remove(A), put(B)] },
  { name: 'replace beside repair', setup: put(A), processes: [put(A, []), repair] },
  {
    name: 'renew beside expiry',
    preemptions: 1,
    setup: expiring(A, EPOCH),
    processes: [expiring(A, EPOCH + 1e9), collect],
  },
  { name: 'two collectors', setup: garbage, processes: [collect, collect] },
];

/** Scenarios of many requests: explored completely with one preemption, and in part with two. */
const COOLING: readonly Pick<Scenario, 'name' | 'setup' | 'processes'>[] = [
  {
    name: 'put beside cooling and collecting',
    setup: hotAndUnreferenced,
    processes: [put(A), sequence(repair, repair, collectFully)],
  },
  {
    name: 'put beside two coolers',
    setup: hotAndUnreferenced,
    processes: [put(A), repair, repair],
  },
  {
    name: 'put beside a cooler and a repair that collects',
    setup: sequence(hotAndUnreferenced, put(A)),
    processes: [repair, sequence(repair, collectFully)],
  },
];

/** Appends that make and merge pages, beside what else concerns pages. */
const PAGES: readonly Pick<Scenario, 'name' | 'setup' | 'processes'>[] = [
  { name: 'append beside append', setup: grown, processes: [append(A), append(A, [])] },
  { name: 'append beside delete', setup: grown, processes: [append(A), remove(A)] },
  { name: 'append beside replace', setup: grown, processes: [append(A), put(A)] },
  { name: 'append beside read', setup: grown, processes: [sequence(append(A), collect), read(A)] },
  { name: 'append beside repair', setup: grown, processes: [append(A), repair] },
  {
    name: 'delete beside put of what a page references',
    setup: grown,
    processes: [sequence(remove(A), collect), put(B)],
  },
];
/**
 * Lists, and what brings journals to pages. What a list may show depends on what was committed when
 * it began, whatever keys its requests touch: so no order of requests is left out.
 */
const LISTS: readonly Scenario[] = [
  { name: 'list beside put', processes: [list(), put(A, [])] },
  { name: 'list beside put and compaction', processes: [list(), sequence(put(A, []), close)] },
  {
    name: 'list beside append and compaction',
    setup: sequence(put(A, []), close),
    processes: [list(), sequence(append(A, []), close)],
  },
  {
    name: 'list beside delete and compaction',
    setup: sequence(put(A, []), close),
    processes: [list(), sequence(remove(A), close)],
  },
  {
    name: 'list of what is held beside hold',
    setup: sequence(put(A, []), close),
    processes: [list(true), hold(A, true)],
  },
  { name: 'replace beside compaction', setup: put(A, []), processes: [put(A, []), collect] },
  {
    name: 'two compactions',
    setup: sequence(put(A, []), close),
    processes: [sequence(put(B, []), close), sequence(remove(A), close)],
  },
].map((scenario) => ({ ...scenario, preemptions: 2, heads: 'ready' as const }));

export const SCENARIOS: readonly Scenario[] = [
  ...LISTS,
  {
    name: 'replace beside a collection that fences it',
    heads: 'ready',
    isLarge: true,
    hasMissedHeartbeats: true,
    setup: put(A, []),
    processes: [put(A), collectFully],
  },
  { name: 'put beside put of one segment', processes: [put(A), put(B)] },
  { name: 'put beside put of one manifest', processes: [put(A), put(A)] },
  { name: 'put beside collect', setup: garbage, processes: [put(B), collect] },
  {
    name: 'put beside two collectors',
    preemptions: 2,
    setup: garbage,
    processes: [put(B), collect, collect],
  },
  { name: 'delete beside put of one segment', setup: put(A), processes: [remove(A), put(B)] },
  {
    name: 'delete beside put beside collect',
    setup: put(A),
    processes: [sequence(remove(A), collect), put(B)],
  },
  { name: 'delete beside put of one manifest', setup: put(A), processes: [remove(A), put(A)] },
  { name: 'append beside replace', setup: put(A), processes: [append(A), put(A)] },
  { name: 'append beside append', setup: put(A, []), processes: [append(A), append(A)] },
  { name: 'append beside delete', setup: put(A), processes: [append(A), remove(A)] },
  { name: 'put beside fencing', hasMissedHeartbeats: true, processes: [put(A), collectFully] },
  {
    name: 'replace beside fencing',
    hasMissedHeartbeats: true,
    setup: put(A),
    processes: [put(A, SEGMENTS.slice(0, 2)), collectFully],
  },
  {
    name: 'put beside a repair that fences it',
    hasMissedHeartbeats: true,
    processes: [put(A), repair],
  },
  {
    name: 'publish beside fencing',
    hasMissedHeartbeats: true,
    processes: [publish(A), collectFully],
  },
  { name: 'delete beside repair', setup: put(A), processes: [remove(A), repair] },
  { name: 'replace beside repair', setup: put(A), processes: [put(A, []), repair] },
  {
    name: 'put beside cooling',
    preemptions: 2,
    setup: hotAndUnreferenced,
    processes: [put(A), repair],
  },
  ...COOLING.map((scenario) => ({ ...scenario, preemptions: 1 })),
  ...COOLING.map((scenario) => ({
    ...scenario,
    name: `${scenario.name}, with two preemptions`,
    preemptions: 2,
    isLarge: true,
  })),
  {
    name: 'read beside replace and collect',
    spillAbove: 0,
    setup: put(A),
    processes: [read(A), sequence(put(A), collect)],
  },
  { name: 'hold beside delete', setup: put(A, []), processes: [hold(A, true), remove(A)] },
  { name: 'hold beside replace', setup: put(A, []), processes: [hold(A, true), put(A, [])] },
  {
    name: 'hold beside expiry',
    setup: expiring(A, EPOCH),
    processes: [hold(A, true), collect],
  },
  {
    name: 'renew beside expiry',
    setup: expiring(A, EPOCH),
    processes: [expiring(A, EPOCH + 1e9), collect],
  },
  { name: 'put beside erasure', setup: garbage, processes: [put(B), erase] },
  { name: 'delete beside erasure', setup: put(A), processes: [remove(A), erase] },
  ...ALONE_WITH_PAGES.map((scenario) => ({
    ...scenario,
    name: `${scenario.name}, with a fault`,
    hasPages: true,
    faults: 1,
  })),
  ...ALONE.map((scenario) => ({ ...scenario, name: `${scenario.name}, with a fault`, faults: 1 })),
  ...PAGES.map((scenario) => ({
    ...scenario,
    name: `${scenario.name}, with pages`,
    hasPages: true,
    preemptions: 1,
  })),
  ...FAULTY.map((scenario) => ({ ...scenario, name: `${scenario.name}, with a fault`, faults: 1 })),
  // With journals, which are requests more: not all of what two processes do is explored.
  ...ALONE.map((scenario) => ({
    ...scenario,
    name: `${scenario.name}, with a fault, with journals`,
    faults: 1,
    heads: 'ready' as const,
  })),
  ...FAULTY.map((scenario) => ({
    ...scenario,
    name: `${scenario.name}, with a fault, with journals`,
    faults: 1,
    heads: 'ready' as const,
    isLarge: true,
  })),
];
