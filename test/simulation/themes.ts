import type { SeededRandom } from './random.ts';
import type { FaultRates, Misfortune } from './unreliable-network.ts';

export type ThemeName = 'everything' | 'collectors' | 'dead writers' | 'lost answers' | 'one segment';

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
  | 'read'
  | 'list'
  | 'collect'
  | 'audit';

const NONE: Readonly<Record<OperationName, number>> = {
  put: 0,
  error: 0,
  skip: 0,
  append: 0,
  delete: 0,
  several: 0,
  publish: 0,
  revised: 0,
  read: 0,
  list: 0,
  collect: 0,
  audit: 0,
};

export const THEMES: readonly Theme[] = [
  {
    name: 'everything',
    keys: [1, 2, 2, 3],
    segments: [1, 1, 2, 3],
    operations: {
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
    slow: random.pick([0, 0.02, 0.1]),
  };
}

export function drawMisfortunes(random: SeededRandom, { pauses }: Theme): Misfortune[] {
  const misfortunes: Misfortune[] = [];
  if (random.chance(0.3)) misfortunes.push({ kind: 'crash', at: random.between(1, 25) });
  if (random.chance(pauses)) {
    misfortunes.push({ kind: 'pause', at: random.between(1, 25), ms: random.pick([2000, 6000, 30_000]) });
  }
  return misfortunes;
}
