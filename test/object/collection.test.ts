import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CollectOptions, CollectReport } from '../../src/backends/contract/collection.ts';
import type { ManifestWrite } from '../../src/backends/contract/manifests.ts';
import { parseGeneration, type Sidecar } from '../../src/backends/object/format/sidecar.ts';
import { ObjectBackend } from '../../src/backends/object/object-backend.ts';
import { createStore } from '../../src/backends/object/tables/descriptor.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import { auditOf } from '../conformance/builders.ts';
import {
  effectOf,
  histories,
  play,
  type Stage,
  type Step,
} from '../conformance/collection-history.ts';
import { times } from '../thorough.ts';
import { MortalStore } from './mortal-store.ts';
import { StandingClock } from './standing-clock.ts';

const MINUTE_MS = 60_000;

/** A store of objects with a clock of its own, in which a history of operations took place. */
class Aged {
  readonly clock = new StandingClock();
  readonly objects = new MemoryObjectStore({ now: () => this.clock.time });

  static async by(steps: readonly Step[]): Promise<Aged> {
    const aged = new Aged();
    await createStore(aged.objects, aged.clock.time);
    const stage: Stage = {
      backend: aged.process(),
      now: () => aged.clock.time,
      advance: (ms) => {
        aged.clock.time += ms;
      },
      crash: (writes, requests) => aged.crash(writes, requests),
    };
    await play(steps, stage);
    return aged;
  }

  process(): ObjectBackend {
    return new ObjectBackend(this.objects, {}, { clock: this.clock });
  }

  async crash(writes: readonly ManifestWrite[], requests: number): Promise<void> {
    const mortal = new MortalStore(this.objects, requests);
    const backend = new ObjectBackend(mortal, {}, { clock: this.clock });
    await Promise.race([mortal.death, backend.commit(writes)]);
  }

  /** A copy with the same objects of the same ages, to continue in another way. */
  async copy(): Promise<Aged> {
    const copy = new Aged();
    for (const { key, lastModified } of (await this.objects.list('')).objects) {
      copy.clock.time = lastModified;
      await copy.objects.put(key, (await this.objects.get(key))?.body as Uint8Array, {
        kind: 'absent',
      });
    }
    copy.clock.time = this.clock.time;
    return copy;
  }

  /** Sizes of objects below `segments/`, and the segments that have a sidecar. */
  async segments(): Promise<{ stored: number; living: Map<string, Sidecar> }> {
    let stored = 0;
    const living = new Map<string, Sidecar>();
    for (const { key, size } of (await this.objects.list('segments/')).objects) {
      if (!key.endsWith('.meta')) stored += size;
      else {
        const sidecar = JSON.parse(
          Buffer.from((await this.objects.get(key))?.body ?? []).toString(),
        ) as Sidecar;
        if (sidecar.state !== 'gone') living.set(key, sidecar);
      }
    }
    return { stored, living };
  }
}

/** Collects, and checks the report against what happened to the objects. */
async function collectWatched(aged: Aged, options: CollectOptions): Promise<CollectReport> {
  const before = await aged.segments();
  const report = await aged.process().collect(options);
  const after = await aged.segments();
  const gone = [...before.living].filter(([key]) => !after.living.has(key));
  expect({
    segments: report.collectedSegments,
    bytes: report.collectedBytes,
    freed: report.freedBytes,
  }).toEqual({
    segments: gone.length,
    bytes: gone.reduce((sum, [, { gen }]) => sum + parseGeneration(gen).length, 0),
    freed: before.stored - after.stored,
  });
  return report;
}

const options = fc.record({ graceMs: fc.constantFrom(0, 2 * MINUTE_MS, 1e9), full: fc.boolean() });
const restMinutes = fc.constantFrom(0, 2, 30);

async function aged(steps: readonly Step[], minutes: number): Promise<Aged> {
  const store = await Aged.by(steps);
  store.clock.time += minutes * MINUTE_MS;
  return store;
}

describe('a plan for objects', () => {
  test('predicts exactly what the run after it does, and why', async () => {
    await fc.assert(
      fc.asyncProperty(histories, restMinutes, options, async (steps, minutes, collecting) => {
        const store = await aged(steps, minutes);
        const plan = await store.process().collect({ ...collecting, dryRun: true });
        const run = await collectWatched(store, collecting);
        expect(effectOf(plan)).toEqual(effectOf(run));
        expect(plan.dryRun).toBe(true);
        const { findings } = await auditOf(store.process());
        expect(findings.filter(({ kind }) => kind !== 'stale-writer')).toEqual([]);
      }),
      { numRuns: times(20, 60), seed: 7 },
    );
  });

  test('changes no object', async () => {
    await fc.assert(
      fc.asyncProperty(histories, restMinutes, options, async (steps, minutes, collecting) => {
        const store = await aged(steps, minutes);
        const before = await store.objects.list('');
        const reader = new ObjectBackend(store.objects, { readOnly: true }, { clock: store.clock });
        await reader.collect({ ...collecting, dryRun: true });
        expect(await store.objects.list('')).toEqual(before);
      }),
      { numRuns: times(6, 15), seed: 7 },
    );
  });

  test('of an erasure predicts what it will do', async () => {
    await fc.assert(
      fc.asyncProperty(histories, restMinutes, async (steps, minutes) => {
        const store = await aged(steps, minutes);
        const plan = await store.process().collect({ erase: true, dryRun: true });
        expect(effectOf(plan)).toEqual(effectOf(await collectWatched(store, { erase: true })));
      }),
      { numRuns: times(8, 20), seed: 8 },
    );
  });
});

test('an everyday run finds by hints what a full one finds by a walk', async () => {
  await fc.assert(
    fc.asyncProperty(histories, fc.constantFrom(0, 2 * MINUTE_MS), async (steps, graceMs) => {
      // Long enough for the marks of dead writers to be old.
      const store = await aged(steps, 30);
      const other = await store.copy();
      const everyday = await collectWatched(store, { graceMs });
      const full = await collectWatched(other, { graceMs, full: true });
      expect(effectOf(everyday)).toEqual(effectOf(full));
      const rest = await store.process().collect({ graceMs: 0, full: true, dryRun: true });
      if (graceMs === 0) expect(rest.collectedSegments).toBe(0);
    }),
    { numRuns: times(10, 30), seed: 9 },
  );
});

const SUMMED = ['collectedSegments', 'collectedBytes', 'freedBytes', 'expiredManifests'] as const;

test('shards are disjoint and together do what one run does, each as its plan predicts', async () => {
  await fc.assert(
    fc.asyncProperty(
      histories,
      restMinutes,
      fc.integer({ min: 2, max: 4 }),
      fc.boolean(),
      async (steps, minutes, count, full) => {
        const store = await aged(steps, minutes);
        const other = await store.copy();
        const whole: CollectReport[] = [];
        const reports: CollectReport[] = [];
        // One shard drops references that another has passed already, and what a run changed is
        // not old. Later rounds take these, when everything is due.
        for (const minutesLater of [30, 2, 2, 2]) {
          whole.push(await other.process().collect({ graceMs: 0, full }));
          for (let index = 0; index < count; index++) {
            const collecting = { graceMs: 0, full, shard: { index, count } };
            const plan = await store.process().collect({ ...collecting, dryRun: true });
            const run = await collectWatched(store, collecting);
            expect(effectOf(plan)).toEqual(effectOf(run));
            reports.push(run);
          }
          for (const each of [store, other]) each.clock.time += minutesLater * MINUTE_MS;
        }
        const sum = (of: readonly CollectReport[], field: (typeof SUMMED)[number]) =>
          of.reduce((total, report) => total + report[field], 0);
        for (const field of SUMMED)
          expect([field, sum(reports, field)]).toEqual([field, sum(whole, field)]);
      },
    ),
    { numRuns: times(8, 20), seed: 10 },
  );
});
