import type { HeadsState } from '../../../src/backends/object/heads/heads-memory.ts';
import type { PageSizes } from '../../../src/backends/object/tables/foundation.ts';
import type { SeededRandom } from '../simulator/seeded-random.ts';
import { SMALL_PAGES } from '../simulator/small-pages.ts';
import type { FaultRates, ProcessFault } from './unreliable-network.ts';

export type WorkloadName =
  | 'everything'
  | 'collectors'
  | 'slow writers'
  | 'lost answers'
  | 'one segment'
  | 'retention'
  | 'erasure'
  | 'shards'
  | 'damage'
  | 'pages';

/**
 * What the processes of a schedule do, on what, and which faults they meet. The fewer manifests,
 * segments and kinds of operations there are, the more often operations meet.
 */
export interface Workload {
  readonly name: WorkloadName;
  /** Numbers of manifests to choose from. */
  readonly keys: readonly number[];
  /** Numbers of segments to choose from. */
  readonly segments: readonly number[];
  /** How often each operation is drawn, in proportion. */
  readonly operations: Readonly<Record<OperationName, number>>;
  /** Whether processes wait for seconds between operations, so that heartbeats are missed. */
  readonly isSlow: boolean;
  /** Multiplies the rates of faults of requests. */
  readonly faultFactor: number;
  /** The probability that a process is paused. */
  readonly pauses: number;
  /** Whether the manifests are pins first, and most clocks are right. Default: false. */
  readonly usesPins?: boolean;
  /** Whether every manifest is stored before the processes start. Default: false. */
  readonly isPopulated?: boolean;
  /** Whether every append makes pages. Default: false. */
  readonly hasPages?: boolean;
  /** Whether an erasure runs as soon as all processes have stopped. Default: false. */
  readonly endsWithErasure?: boolean;
}

export type OperationName =
  | 'put'
  | 'error'
  | 'skip'
  | 'append'
  | 'delete'
  | 'several'
  | 'publish'
  | 'conditional'
  | 'expiring'
  | 'hold'
  | 'lift'
  | 'prune'
  | 'read'
  | 'list'
  | 'collect'
  | 'shard'
  | 'deadline'
  | 'erase'
  | 'audit'
  | 'damage';

const NONE: Readonly<Record<OperationName, number>> = {
  put: 0,
  error: 0,
  skip: 0,
  append: 0,
  delete: 0,
  several: 0,
  publish: 0,
  conditional: 0,
  expiring: 0,
  hold: 0,
  lift: 0,
  prune: 0,
  read: 0,
  list: 0,
  collect: 0,
  shard: 0,
  deadline: 0,
  erase: 0,
  audit: 0,
  damage: 0,
};

const WORKLOADS: readonly Workload[] = [
  {
    name: 'everything',
    keys: [1, 2, 2, 3],
    segments: [1, 1, 2, 3],
    operations: {
      ...NONE,
      put: 36,
      error: 4,
      skip: 3,
      append: 14,
      delete: 16,
      several: 6,
      publish: 5,
      conditional: 4,
      read: 6,
      list: 2,
      collect: 10,
      audit: 6,
      expiring: 3,
      hold: 2,
      lift: 2,
      prune: 2,
      shard: 2,
      deadline: 2,
      erase: 2,
    },
    isSlow: false,
    faultFactor: 1,
    pauses: 0.25,
  },
  // Collections right behind writers.
  {
    name: 'collectors',
    keys: [1, 2],
    segments: [1],
    operations: { ...NONE, put: 4, delete: 4, collect: 5 },
    isSlow: false,
    faultFactor: 1,
    pauses: 0.3,
  },
  // Writers that look dead.
  {
    name: 'slow writers',
    keys: [1, 2],
    segments: [1, 2],
    operations: { ...NONE, put: 8, append: 3, publish: 2, delete: 2, collect: 5, audit: 2 },
    isSlow: true,
    faultFactor: 1,
    pauses: 0.7,
  },
  // Lost answers.
  {
    name: 'lost answers',
    keys: [1],
    segments: [1, 2],
    operations: { ...NONE, put: 4, append: 6, delete: 2, read: 1 },
    isSlow: false,
    faultFactor: 5,
    pauses: 0.2,
  },
  // One segment that all processes use.
  {
    name: 'one segment',
    keys: [5],
    segments: [1],
    operations: { ...NONE, put: 9, several: 9, delete: 5, collect: 2, audit: 4 },
    isSlow: false,
    faultFactor: 1,
    pauses: 0.3,
  },
  // Pins that expire, are renewed and held, beside collections and prunes.
  {
    name: 'retention',
    isPopulated: true,
    keys: [1, 2],
    usesPins: true,
    segments: [1],
    operations: {
      ...NONE,
      expiring: 9,
      put: 1,
      append: 2,
      delete: 5,
      hold: 5,
      lift: 3,
      prune: 2,
      collect: 9,
      list: 1,
    },
    isSlow: false,
    faultFactor: 1,
    pauses: 0.2,
  },
  // Erasures beside writers, and beside what crashed writers leave.
  {
    name: 'erasure',
    isPopulated: true,
    endsWithErasure: true,
    keys: [1, 2],
    segments: [1, 2],
    operations: {
      ...NONE,
      put: 5,
      append: 1,
      delete: 10,
      publish: 1,
      collect: 1,
      erase: 6,
      audit: 2,
    },
    isSlow: false,
    faultFactor: 1,
    pauses: 0.3,
  },
  // Collections of shards, and with deadlines.
  {
    name: 'shards',
    isPopulated: true,
    keys: [2, 3],
    segments: [2, 4],
    operations: { ...NONE, put: 3, delete: 9, expiring: 1, shard: 6, deadline: 6 },
    isSlow: false,
    faultFactor: 1,
    pauses: 0.2,
  },
  // Damaged data.
  {
    name: 'damage',
    isPopulated: true,
    keys: [1, 2],
    segments: [1, 2],
    operations: { ...NONE, put: 8, append: 2, delete: 3, read: 2, collect: 2, audit: 5, damage: 4 },
    isSlow: false,
    faultFactor: 1,
    pauses: 0.2,
  },
  // Conversations that grow, beside what ends them and what counts their references.
  {
    name: 'pages',
    isPopulated: true,
    hasPages: true,
    keys: [1, 1, 2],
    segments: [1, 2, 3],
    operations: {
      ...NONE,
      put: 3,
      append: 24,
      delete: 3,
      conditional: 1,
      hold: 1,
      lift: 1,
      read: 4,
      collect: 5,
      deadline: 1,
      erase: 1,
      audit: 5,
    },
    isSlow: false,
    faultFactor: 1,
    pauses: 0.2,
  },
];

/** The sizes of pages; `undefined`: as in production, where schedules are too short for pages. */
export function pageSizesOf({ hasPages = false }: Workload): PageSizes | undefined {
  return hasPages ? SMALL_PAGES : undefined;
}

/** The workload of a seed's schedule. */
export function workloadOf(seed: number): Workload {
  return WORKLOADS[seed % WORKLOADS.length] as Workload;
}

/** Two of three schedules are of a store with journals. */
export function headsOf(seed: number): HeadsState {
  return Math.floor(seed / WORKLOADS.length) % 3 === 2 ? 'none' : 'ready';
}

/** The first `count` seeds of schedules with a workload. */
export function seedsOf(name: WorkloadName = 'everything', count: number): number[] {
  const index = WORKLOADS.findIndex((workload) => workload.name === name);
  return Array.from({ length: count }, (_, at) => at * WORKLOADS.length + index);
}

export function drawRates(random: SeededRandom, factor: number): FaultRates {
  const rate = () => factor * random.pick([0, 0, 0.02, 0.05]);
  return {
    lostAnswer: rate(),
    lostRequest: rate(),
    late: rate(),
    refused: rate(),
    throttled: factor * random.pick([0, 0, 0.01, 0.02]),
    busy: factor * random.pick([0, 0, 0.01, 0.02]),
    slow: random.pick([0, 0.02, 0.1]),
  };
}

export function drawProcessFaults(random: SeededRandom, { pauses }: Workload): ProcessFault[] {
  const faults: ProcessFault[] = [];
  if (random.chance(0.3)) faults.push({ kind: 'crash', at: random.between(1, 25) });
  if (random.chance(pauses)) {
    faults.push({
      kind: 'pause',
      at: random.between(1, 25),
      ms: random.pick([2000, 6000, 30_000]),
    });
  }
  return faults;
}

/** How wrong a process's clock is, in ms. */
export function drawSkew(random: SeededRandom, { usesPins = false }: Workload): number {
  return usesPins ? random.pick([0, 0, -300, 300, 2e9]) : random.between(-1e9, 1e9);
}
