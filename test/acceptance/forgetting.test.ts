import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bytesIn, collect, newFolder, open } from './place.ts';

/** 600 characters that compression cannot do much about, and that no other call gives. */
function secret(round: number, index: number): string {
  let state = (round * 1000 + index + 1) >>> 0;
  let text = `SECRET-${round}-${index}-`;
  while (text.length < 600) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    text += state.toString(36);
  }
  return text;
}

test('putting, deleting and collecting over and over leaves a store as large as an empty one', async () => {
  const [folder, untouched] = [newFolder(), newFolder()];
  await (await open(untouched)).close();
  const store = await open(folder);
  const { conversations, blobs, segments, gc } = store;
  const sizes: number[] = [];
  for (let round = 0; round < 12; round++) {
    const batch = Array.from({ length: 50 }, (_, index) => ({
      id: `c${round}-${index}`,
      messages: [{ content: secret(round, index) }, { content: 'short' }],
    }));
    await collect(conversations.putMany(batch));
    await conversations.append(`c${round}-0`, [{ content: secret(round, 999) }]);
    await blobs.put('blob', Buffer.from(secret(round, 998).repeat(300)));
    await segments.put(Buffer.from(secret(round, 997)), { pin: 'pin' });
    await conversations.deleteMany(batch.map(({ id }) => id));
    await blobs.delete('blob');
    await segments.release('pin');
    await gc.run({ grace: 0, full: true });
    // Folds the log in, which the report of the run is in.
    await store.usage();
    sizes.push(bytesIn(folder));
  }
  // Beside the reports of the runs, a few hundred bytes each, in pages of 4 KiB; and the floor of
  // the log, whose numbers take another byte now and then.
  const later = sizes.slice(1);
  expect(Math.max(...later) - Math.min(...later)).toBeLessThanOrEqual(2 * 4096 + 16);
  expect(await store.usage()).toMatchObject({ segments: 0, garbageSegments: 0 });
  await store.close();
  // The floor of the log is all that packs hold.
  expect(bytesIn(join(folder, 'packs'))).toBeLessThan(128);
  expect(bytesIn(folder) - bytesIn(untouched)).toBeLessThan(3 * 4096 + 128);
});

test('a full collection brings many small commits to the size of one import', async () => {
  const [small, bulk] = [newFolder(), newFolder()];
  const records = Array.from({ length: 400 }, (_, index) => ({
    id: `c${index}`,
    messages: [{ content: secret(1, index) }, { content: secret(2, index % 20) }],
  }));
  const one = await open(small);
  for (const record of records) await one.conversations.put(record);
  await one.gc.run({ grace: 0, full: true });
  await one.close();
  const other = await open(bulk);
  await other.importJsonl([
    Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join('')),
  ]);
  await other.close();
  expect(bytesIn(small)).toBeLessThan(1.2 * bytesIn(bulk));
});

test('collecting gives nothing away that something still holds', async () => {
  const store = await open();
  const text = Buffer.from('held by two');
  const { address } = await store.segments.put(text, { pin: 'one', owner: 'a' });
  await store.segments.put(text, { pin: 'two', owner: 'b' });
  await store.segments.release('one');
  await store.gc.run({ grace: 0, full: true });
  expect(text.equals((await store.segments.get(address)) ?? new Uint8Array())).toBe(true);
  await store.segments.release('two');
  await store.segments.put(text, { pin: 'three' });
  await store.gc.run({ grace: 0, full: true });
  expect(await store.segments.has(address)).toBe(true);
});
