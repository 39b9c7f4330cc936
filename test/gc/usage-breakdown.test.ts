import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/contract/backend.ts';
import { LocalBackend } from '../../src/backends/local/local-backend.ts';
import { ObjectBackend } from '../../src/backends/object/object-backend.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import { isVarveError } from '../../src/core/errors.ts';
import type { UsageBreakdown } from '../../src/gc/usage/usage-breakdown.ts';
import { Store } from '../../src/store.ts';
import { ModelBackend } from '../conformance/model-backend.ts';
import { scratchFolder } from '../local/support.ts';

const BACKENDS: Readonly<Record<string, () => Promise<Backend>>> = {
  model: async () => new ModelBackend(undefined, { inlineBelow: 1 }),
  local: () => LocalBackend.open(scratchFolder(), { inlineBelow: 1 }),
  objects: async () => new ObjectBackend(new MemoryObjectStore(), { inlineBelow: 1 }),
};
const TEXTS = ['hello', 'long '.repeat(400), 'other '.repeat(90)];

function expectToAddUp({ parts, total, otherBytes, usage }: UsageBreakdown): void {
  for (const field of [
    'manifests',
    'logicalBytes',
    'contentBytes',
    'deduplicatedBytes',
    'compressedBytes',
    'storedBytes',
  ] as const) {
    expect(parts.reduce((sum, part) => sum + part[field], 0)).toBe(total[field]);
    for (const part of parts) expect(Number.isInteger(part[field]), field).toBe(true);
  }
  for (const { contentBytes, deduplicatedBytes, compressedBytes, storedBytes } of [
    ...parts,
    total,
  ]) {
    expect(contentBytes - deduplicatedBytes - compressedBytes).toBe(storedBytes);
    expect(deduplicatedBytes).toBeGreaterThanOrEqual(-1);
  }
  expect(total.storedBytes + otherBytes).toBe(usage.storedBytes);
  const { conversation, blob, pin } = usage.manifests;
  expect(total.manifests).toBe(conversation.count + blob.count + pin.count);
  expect(total.logicalBytes).toBe(conversation.logicalBytes + blob.logicalBytes + pin.logicalBytes);
}

describe.each(Object.entries(BACKENDS))('the break-down of usage on the %s backend', (_, open) => {
  it('adds up, whatever is stored, whichever way it is broken down', async () => {
    const given = fc.array(
      fc.record({
        application: fc.constantFrom('a', 'b', undefined),
        model: fc.constantFrom('m', undefined),
        created: fc.constantFrom(1_700_000_000, 1_710_000_000),
        texts: fc.array(fc.constantFrom(...TEXTS), { maxLength: 4 }),
      }),
      { maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(given, async (conversations) => {
        const store = new Store(await open());
        try {
          for (const [n, { texts, ...fields }] of conversations.entries()) {
            const messages = texts.map((content) => ({ role: 'user', content }));
            await store.conversations.put({
              id: `c${n}`,
              ...JSON.parse(JSON.stringify(fields)),
              messages,
            });
          }
          await store.segments.put(Buffer.from(TEXTS[1] as string));
          if (conversations.length > 2) await store.conversations.delete('c1');
          for (const by of ['application', 'model', 'month', undefined] as const) {
            const breakdown = await store.usageBreakdown(by === undefined ? {} : { by });
            expectToAddUp(breakdown);
            expect(breakdown.otherBytes).toBeGreaterThanOrEqual(-1);
          }
        } finally {
          await store.close();
        }
      }),
      { numRuns: 8 },
    );
  }, 60_000);

  it('says what sharing saves, and which segments are shared most', async () => {
    const store = new Store(await open());
    try {
      const [small, large, medium] = TEXTS as [string, string, string];
      const put = (id: string, application: string, ...texts: string[]) =>
        store.conversations.put({
          id,
          application,
          created: '2026-01-31T00:00:00Z',
          messages: texts.map((content) => ({ role: 'user', content })),
        });
      await put('c1', 'a', small, large);
      await put('c2', 'a', large, medium);
      await put('c3', 'b', large, medium);
      const { parts, total, topSegments } = await store.usageBreakdown({
        by: 'application',
        top: 2,
      });
      expect(parts.map(({ key }) => key).sort()).toEqual(['a', 'b']);
      expect(total.deduplicatedBytes).toBeGreaterThanOrEqual(2 * large.length + medium.length);
      expect(topSegments).toMatchObject([
        { length: large.length, references: 3, savedBytes: 2 * large.length },
        { length: medium.length, references: 2, savedBytes: medium.length },
      ]);
      expect(['c2', 'c3']).toContain(topSegments[1]?.example.id);
      expect((await store.usageBreakdown({ top: 1 })).topSegments).toEqual(topSegments.slice(0, 1));
      expect((await store.usageBreakdown({ by: 'month' })).parts.map(({ key }) => key)).toEqual([
        '2026-01',
      ]);
    } finally {
      await store.close();
    }
  });
});

it('refuses what cannot be broken down by', async () => {
  const store = new Store(new ModelBackend());
  for (const options of [{ by: 'tenant' as never }, { top: -1 }, { top: 1.5 }]) {
    await expect(store.usageBreakdown(options)).rejects.toSatisfy((error) =>
      isVarveError(error, 'INVALID_ARGUMENT'),
    );
  }
});
