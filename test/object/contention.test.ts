import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  HOT_REFUSALS,
  newGeneration,
  type SidecarContent,
  type Token,
} from '../../src/backends/object/format/sidecar.ts';
import { ObjectBackend } from '../../src/backends/object/object-backend.ts';
import { take } from '../../src/backends/object/tables/sidecar-changes.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import type { Address } from '../../src/core/address.ts';
import { auditOf, commit, entry, put, remove, segment } from '../conformance/builders.ts';

/**
 * A service with a delay, so that a writer that reads and then swaps meets others that do the same.
 */
class SlowStore extends MemoryObjectStore {
  override async get(...given: Parameters<MemoryObjectStore['get']>) {
    const object = await super.get(...given);
    await sleep(Math.random() * 4);
    return object;
  }

  override async put(...given: Parameters<MemoryObjectStore['put']>) {
    await sleep(Math.random() * 4);
    return super.put(...given);
  }
}

async function referencesOf(backend: ObjectBackend, address: Address): Promise<number | undefined> {
  const [locator] = await backend.find([address]);
  return locator && (await backend.describe([locator]))[0]?.references;
}

test('64 writers of one segment at the same time all succeed, and it counts their references or is hot', async () => {
  const store = new SlowStore();
  const writers = Array.from({ length: 64 }, () => new ObjectBackend(store));
  const ids = writers.map((_, writer) => [0, 1, 2].map((number) => `w${writer} ${number}`));
  await Promise.all(
    writers.map(async (backend, writer) => {
      for (const id of ids[writer] ?? []) await commit(backend, put(id, [entry(id, 'common')]));
    }),
  );
  const [first, ...others] = writers as [ObjectBackend, ...ObjectBackend[]];
  expect((await auditOf(first)).findings).toEqual([]);
  // When few references are left, an audit names them; when none is, a collection takes the
  // segment.
  const [last, ...early] = ids.flat() as [string, ...string[]];
  await first.commit(early.map((id) => remove(id)));
  for await (const _ of first.audit({ repair: true }));
  expect(await referencesOf(first, segment('common').address)).toBe(1);
  await commit(first, remove(last));
  expect(await first.collect({ graceMs: 0 })).toMatchObject({ collectedSegments: 1 });
  for (const backend of [first, ...others]) await backend.close();
}, 30_000);

test('only a live segment becomes hot when its changes are refused often', () => {
  const gen = newGeneration('nonce-nonce-', 'bytes', 3);
  const tokens = ['holder.nonce' as Token];
  const change = take({ tokens, storedGeneration: undefined, newGeneration: () => gen });
  const live: SidecarContent = { gen, state: 'live', refs: [] };
  expect(change(live, HOT_REFUSALS - 1)).toEqual({ gen, state: 'live', refs: tokens });
  expect(change(live, HOT_REFUSALS)).toEqual({ gen, state: 'live', refs: tokens, hot: true });
  expect(change({ ...live, damaged: true }, HOT_REFUSALS)?.hot).toBeUndefined();
  expect(change({ ...live, state: 'uploading' }, HOT_REFUSALS)?.hot).toBeUndefined();
  expect(change(undefined, HOT_REFUSALS)?.hot).toBeUndefined();
});
