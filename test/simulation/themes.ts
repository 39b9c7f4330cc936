import type { SeededRandom } from './random.ts';
import type { FaultRates, Misfortune } from './unreliable-network.ts';

export type ThemeName =
  | 'everything'
  | 'collectors'
  | 'dead writers'
  | 'lost answers'
  | 'one segment'
  | 'retention'
  | 'erasure'
  | 'shards'
  | 'damage';

/** What a schedule is about: the fewer things happen, the more often they meet. */
export interface Theme {
  readonly name: ThemeName;
  readonly keys: readonly number[];
  readonly segments: readonly number[];
  readonly operations: Readonly<Record<OperationName, number>>;
  /** Whether processes wait for seconds before what they do, so that leases run out meanwhile. */
  readonly isSlow: boolean;
  /** How much more often answers are lost. */
  readonly faults: number;
  readonly pauses: number;
  /**
   * Whether it is about pins in the first place, and clocks are right but for some. Default: false.
   */
  readonly isOfPins?: boolean;
  /** Whether everything is there when it begins. Default: false. */
  readonly isFurnished?: boolean;
  /** Whether there is an erasure as soon as all have stopped. Default: false. */
  readonly isErased?: boolean;
}

export type OperationName =
  | 'put'
  | 'error'
  | 'skip'
  | 'append'
  | 'delete'
  | 'several'
  | 'publish'
  | 'revised'
  | 'expiring'
  | 'hold'
  | 'lift'
  | 'prune'
  | 'read'
  | 'list'
  | 'collect'
  | 'shard'
  | 'hurry'
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
  revised: 0,
  expiring: 0,
  hold: 0,
  lift: 0,
  prune: 0,
  read: 0,
  list: 0,
  collect: 0,
  shard: 0,
  hurry: 0,
  erase: 0,
  audit: 0,
  damage: 0,
};

export const THEMES: readonly Theme[] = [
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
      revised: 4,
      read: 6,
      list: 2,
      collect: 10,
      audit: 6,
      expiring: 3,
      hold: 2,
      lift: 2,
      prune: 2,
      shard: 2,
      hurry: 2,
      erase: 2,
    },
    isSlow: false,
    faults: 1,
    pauses: 0.25,
  },
  // Collectors at the heels of writers.
  {
    name: 'collectors',
    keys: [1, 2],
    segments: [1],
    operations: { ...NONE, put: 4, delete: 4, collect: 5 },
    isSlow: false,
    faults: 1,
    pauses: 0.3,
  },
  // Writers that are taken for dead.
  {
    name: 'dead writers',
    keys: [1, 2],
    segments: [1, 2],
    operations: { ...NONE, put: 8, append: 3, publish: 2, delete: 2, collect: 5, audit: 2 },
    isSlow: true,
    faults: 1,
    pauses: 0.7,
  },
  // Answers that do not come.
  {
    name: 'lost answers',
    keys: [1],
    segments: [1, 2],
    operations: { ...NONE, put: 4, append: 6, delete: 2, read: 1 },
    isSlow: false,
    faults: 5,
    pauses: 0.2,
  },
  // One segment that everybody uses.
  {
    name: 'one segment',
    keys: [5],
    segments: [1],
    operations: { ...NONE, put: 9, several: 9, delete: 5, collect: 2, audit: 4 },
    isSlow: false,
    faults: 1,
    pauses: 0.3,
  },
  // Pins that expire, are renewed and held, beside those who collect and prune.
  {
    name: 'retention',
    isFurnished: true,
    keys: [1, 2],
    isOfPins: true,
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
    faults: 1,
    pauses: 0.2,
  },
  // Erasures, beside writers and beside what crashed writers left.
  {
    name: 'erasure',
    isFurnished: true,
    isErased: true,
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
    faults: 1,
    pauses: 0.3,
  },
  // Collectors that do a part of the work each.
  {
    name: 'shards',
    isFurnished: true,
    keys: [2, 3],
    segments: [2, 4],
    operations: { ...NONE, put: 3, delete: 9, expiring: 1, shard: 6, hurry: 6 },
    isSlow: false,
    faults: 1,
    pauses: 0.2,
  },
  // Data that goes bad.
  {
    name: 'damage',
    isFurnished: true,
    keys: [1, 2],
    segments: [1, 2],
    operations: { ...NONE, put: 8, append: 2, delete: 3, read: 2, collect: 2, audit: 5, damage: 4 },
    isSlow: false,
    faults: 1,
    pauses: 0.2,
  },
];

/** The first so many seeds of schedules that are about something. */
export function seedsOf(name: ThemeName = 'everything', count: number): number[] {
  const index = THEMES.findIndex((theme) => theme.name === name);
  return Array.from({ length: count }, (_, at) => at * THEMES.length + index);
}

export function drawRates(random: SeededRandom, factor: number): FaultRates {
  const rate = () => factor * random.pick([0, 0, 0.02, 0.05]);
  return {
    lostReply: rate(),
    lostRequest: rate(),
    late: rate(),
    refused: rate(),
    throttled: factor * random.pick([0, 0, 0.01, 0.02]),
    busy: factor * random.pick([0, 0, 0.01, 0.02]),
    slow: random.pick([0, 0.02, 0.1]),
  };
}

export function drawMisfortunes(random: SeededRandom, { pauses }: Theme): Misfortune[] {
  const misfortunes: Misfortune[] = [];
  if (random.chance(0.3)) misfortunes.push({ kind: 'crash', at: random.between(1, 25) });
  if (random.chance(pauses)) {
    misfortunes.push({
      kind: 'pause',
      at: random.between(1, 25),
      ms: random.pick([2000, 6000, 30_000]),
    });
  }
  return misfortunes;
}

/** How wrong a process's clock is, in ms. */
export function drawSkew(random: SeededRandom, { isOfPins = false }: Theme): number {
  return isOfPins ? random.pick([0, 0, -300, 300, 2e9]) : random.between(-1e9, 1e9);
}
