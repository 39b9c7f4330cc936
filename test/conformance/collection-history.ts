import fc from 'fast-check';
import type { Backend } from '../../src/backends/contract/backend.ts';
import type { CollectReport } from '../../src/backends/contract/collection.ts';
import type { ManifestKey, ManifestWrite } from '../../src/backends/contract/manifests.ts';
import { append, conversation, entry, hold, put, remove } from './builders.ts';

/** Random lives of a store, for what has to be true of collections whatever happened before. */

const MINUTE_MS = 60_000;

/** Ids and texts are few, so that content is shared, replaced, deleted and comes back. */
const id = fc.nat(7);
const text = fc.nat(9);
/** In minutes from now; negative: before. */
const expiresIn = fc.constantFrom(undefined, undefined, -1, 5, 1e6);

const change = fc.oneof(
  { weight: 6, arbitrary: fc.record({ verb: fc.constant('put' as const), id, text, expiresIn }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant('pin' as const), id, text, expiresIn }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant('append' as const), id, text }) },
  { weight: 4, arbitrary: fc.record({ verb: fc.constant('remove' as const), id }) },
  {
    weight: 1,
    arbitrary: fc.record({ verb: fc.constant('hold' as const), id, isHeld: fc.boolean() }),
  },
);
type Change = typeof change extends fc.Arbitrary<infer Each> ? Each : never;

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      step: fc.constant('commit' as const),
      changes: fc.array(change, { minLength: 1, maxLength: 5 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      step: fc.constant('wait' as const),
      minutes: fc.constantFrom(1, 6, 20),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      step: fc.constant('collect' as const),
      graceMinutes: fc.constantFrom(0, 3),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      step: fc.constant('crash' as const),
      changes: fc.array(change, { minLength: 1, maxLength: 3 }),
      requests: fc.nat(14),
    }),
  },
);
export type Step = typeof step extends fc.Arbitrary<infer Each> ? Each : never;

export const histories: fc.Arbitrary<Step[]> = fc.array(step, {
  minLength: 1,
  maxLength: 14,
  size: 'max',
});

/** What a history happens to. */
export interface Stage {
  readonly backend: Backend;
  /** Milliseconds since the epoch, as the store sees them. */
  readonly now: () => number;
  readonly advance: (ms: number) => void;
  /**
   * Kills the process that makes the writes after this many requests. Absent: it sends no requests.
   */
  readonly crash?: (writes: readonly ManifestWrite[], requests: number) => Promise<void>;
}

export async function play(steps: readonly Step[], stage: Stage): Promise<void> {
  for (const each of steps) {
    if (each.step === 'wait') stage.advance(each.minutes * MINUTE_MS);
    else if (each.step === 'collect')
      await stage.backend.collect({ graceMs: each.graceMinutes * MINUTE_MS });
    else {
      const writes = each.changes.map((one) => writeOf(one, stage.now()));
      if (each.step === 'commit') await stage.backend.commit(writes);
      else await stage.crash?.(writes, each.requests);
    }
    stage.advance(10);
  }
}

function writeOf(given: Change, now: number): ManifestWrite {
  const key: ManifestKey =
    given.verb === 'pin' ? { kind: 'pin', id: `p${given.id}` } : conversation(`c${given.id}`);
  switch (given.verb) {
    case 'remove':
      return remove(key);
    case 'hold':
      return hold(key, given.isHeld);
    case 'append':
      return append(key, [entry(`more ${given.text}`, textOf(given.text))]);
    default: {
      const segments = [
        textOf(given.text),
        textOf(given.text % 4),
        `of ${given.id} and ${given.text}`,
      ];
      const expiresAt =
        given.expiresIn === undefined ? undefined : now + given.expiresIn * MINUTE_MS;
      return put(key, [entry(`body ${given.id} ${given.text}`, ...segments)], {
        ifExists: 'replace',
        fields: expiresAt === undefined ? {} : { expiresAt },
      });
    }
  }
}

function textOf(number: number): string {
  return `text ${number} `.repeat(1 + number * 3);
}

/** What a plan and the run after it must agree on: all but how long it took. */
export function effectOf({
  dryRun: _,
  durationMs: __,
  ...effect
}: CollectReport): Omit<CollectReport, 'dryRun' | 'durationMs'> {
  return effect;
}
