import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { listSegmentObjects } from '../../src/backends/object/listing/segment-listing.ts';
import type { Protocol } from '../../src/backends/object/tables/protocol.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import { ServerClock } from '../../src/backends/storage/server-clock.ts';
import { SystemClock } from '../../src/core/system/system-clock.ts';
import { DepthStore } from './depth/depth-store.ts';

async function listed(keys: Iterable<string>) {
  const objects = new MemoryObjectStore();
  for (const key of keys) await objects.put(key, Buffer.alloc(0), { kind: 'any' });
  const store = new DepthStore(objects);
  const protocol = { store, serverClock: new ServerClock(new SystemClock()) };
  const found: string[] = [];
  for await (const { key } of listSegmentObjects(protocol as unknown as Protocol)) found.push(key);
  return { found, lists: store.requests, depth: store.depth };
}

function addresses(count: number): string[] {
  return Array.from({ length: count }, (_, at) =>
    createHash('sha256').update(String(at)).digest('hex'),
  );
}

test('many segments are listed in ranges, several at once, and in order', async () => {
  const keys = addresses(20_000).flatMap((address) => [
    `segments/${address}.meta`,
    `segments/${address}/${'g'.repeat(12)}b3k`,
  ]);
  const { found, lists, depth } = await listed(keys);
  expect(found).toEqual(keys.toSorted());
  // 40 pages would do, one after the other.
  expect(lists).toBeLessThan(40 * 1.5);
  expect(depth).toBeLessThan(12);
});

test('every object is listed once, however keys are spread', async () => {
  const crowds = fc.array(
    fc.record({
      prefix: fc.stringMatching(/^[-0-9a-gz]{0,9}$/),
      count: fc.integer({ min: 1, max: 3000 }),
    }),
    { minLength: 1, maxLength: 4 },
  );
  await fc.assert(
    fc.asyncProperty(crowds, async (spread) => {
      const keys = new Set(
        spread.flatMap(({ prefix, count }) =>
          addresses(count).map((address) => `segments/${`${prefix}${address}`.slice(0, 64)}.meta`),
        ),
      );
      const { found, lists } = await listed(keys);
      expect(found).toEqual([...keys].toSorted());
      expect(lists).toBeLessThan(1000);
    }),
    { numRuns: 10 },
  );
});
