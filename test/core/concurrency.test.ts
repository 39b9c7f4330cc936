import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mapAhead } from '../../src/core/concurrency.ts';

async function* source(sizes: readonly number[], failAt: number | undefined) {
  for (const [at, size] of sizes.entries()) {
    if (at === failAt) throw new Error('source');
    if (size % 3 === 0) await turn();
    yield { at, size };
  }
  if (failAt === sizes.length) throw new Error('source');
}

const RUNS = fc.record({
  sizes: fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 20 }),
  delays: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 7 }),
  count: fc.integer({ min: 1, max: 6 }),
  bytes: fc.integer({ min: 1, max: 20 }),
  /** Where the source, and where the work, fails. */
  sourceFails: fc.option(fc.nat(20), { nil: undefined }),
  workFails: fc.option(fc.nat(20), { nil: undefined }),
  /** After this many results the reader leaves. */
  leaves: fc.option(fc.nat(20), { nil: undefined }),
});

test('results come in order, within the bounds, with errors where they belong', async () => {
  await fc.assert(
    fc.asyncProperty(RUNS, async (run) => {
      const { sizes, delays, count, bytes, sourceFails, workFails, leaves } = run;
      let underWay = 0;
      let unread = 0;
      let held = 0;
      const read: number[] = [];
      const work = async ({ at, size }: { at: number; size: number }) => {
        underWay++;
        unread++;
        held += size;
        expect(unread).toBeLessThanOrEqual(count);
        if (unread > 1) expect(held).toBeLessThanOrEqual(bytes);
        for (let delay = delays[at % delays.length] as number; delay > 0; delay--) await turn();
        underWay--;
        if (at === workFails) throw new Error('work');
        return at;
      };
      const bounds = { count, bytes, bytesOf: ({ size }: { size: number }) => size };
      let error: unknown;
      try {
        for await (const at of mapAhead(source(sizes, sourceFails), bounds, work)) {
          read.push(at);
          if (at % 2 === 0) await turn();
          unread--;
          held -= sizes[at] as number;
          if (read.length === leaves) break;
        }
      } catch (caught) {
        error = caught;
      }
      expect(underWay).toBe(0);
      const workEnd =
        workFails !== undefined && workFails < sizes.length ? workFails : Number.POSITIVE_INFINITY;
      const sourceEnd =
        sourceFails !== undefined && sourceFails <= sizes.length
          ? sourceFails
          : Number.POSITIVE_INFINITY;
      const whole = Math.min(sizes.length, workEnd, sourceEnd);
      const isLeft = leaves !== undefined && leaves > 0 && leaves <= whole;
      expect(read).toEqual([...Array(isLeft ? leaves : whole).keys()]);
      const expected =
        isLeft || Math.min(workEnd, sourceEnd) === Number.POSITIVE_INFINITY
          ? undefined
          : workEnd < sourceEnd
            ? 'work'
            : 'source';
      expect((error as Error | undefined)?.message).toBe(expected);
    }),
    { numRuns: 200 },
  );
});

test('the next items are begun while one is waited for', async () => {
  const begun: number[] = [];
  const results = mapAhead([1, 2, 3, 4], { count: 3 }, async (item) => {
    begun.push(item);
    await turn();
    return item;
  });
  await results.next();
  expect(begun).toEqual([1, 2, 3]);
  await results.return(undefined);
});
