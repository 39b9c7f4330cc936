import { expect, test } from 'vitest';
import type { Conversations, Store } from '../../src/index.ts';
import { collect, newFolder, open, outcomes } from './place.ts';

/** Two handles on one store, as two processes have them. */
async function two(): Promise<{
  stores: [Store, Store];
  either: (index: number) => Conversations;
}> {
  const folder = newFolder();
  const stores: [Store, Store] = [await open(folder), await open(folder)];
  return { stores, either: (index) => stores[index % 2 === 0 ? 0 : 1].conversations };
}

const calls = <T>(count: number, call: (index: number) => Promise<T>): Promise<T>[] =>
  Array.from({ length: count }, (_, index) => call(index));

test('of 200 puts of one id at once exactly one wins, and equal ones all succeed', async () => {
  const { either } = await two();
  const different = calls(200, (index) =>
    either(index).put({ id: 'a', messages: [{ content: `${index} ${'x'.repeat(300)}` }] }),
  );
  expect(await outcomes(different)).toEqual({ created: 1, ALREADY_EXISTS: 199 });
  const equal = calls(200, (index) =>
    either(index).put({ id: 'b', messages: [{ content: 'x'.repeat(300) }] }),
  );
  expect(await outcomes(equal)).toEqual({ created: 1, unchanged: 199 });
});

test('200 conversations put at once are all there', async () => {
  const { either } = await two();
  const conversation = (index: number) => ({
    id: `c${index}`,
    messages: [{ content: `${index % 7} ${'shared '.repeat(60)}` }, { content: index }],
  });
  await Promise.all(calls(200, (index) => either(index).put(conversation(index))));
  for (let index = 0; index < 200; index++)
    expect(await either(index + 1).get(`c${index}`)).toEqual(conversation(index));
});

test('appends at once all count, those of one name once', async () => {
  const { either } = await two();
  await either(0).put({ id: 'c', messages: [] });
  expect(await outcomes(calls(40, (index) => either(index).append('c', [{ index }])))).toEqual({
    appended: 40,
  });
  const named = calls(40, (index) =>
    either(index).append('c', [{ named: index % 4 }], { idempotencyKey: `turn-${index % 4}` }),
  );
  expect(await outcomes(named)).toEqual({ appended: 4, unchanged: 36 });
  const { messages } = (await either(1).get('c')) as { messages: object[] };
  expect(messages.length).toBe(44);
  expect(new Set(messages.map((message) => JSON.stringify(message))).size).toBe(44);
});

test('of changes to one revision exactly one happens, and a revision never comes back', async () => {
  const { either } = await two();
  const { revision } = await either(0).put({ id: 'c', messages: [1] });
  const changes = calls(20, (index) =>
    index % 4 < 2
      ? either(index).append('c', [index], { ifRevision: revision })
      : either(index).put({ id: 'c', index }, { ifExists: 'replace', ifRevision: revision }),
  );
  const { CONFLICT, ...done } = await outcomes(changes);
  expect([CONFLICT, Object.values(done)]).toEqual([19, [1]]);
  await either(0).delete('c');
  await either(1).put({ id: 'c', messages: [1] });
  await expect(either(0).append('c', [2], { ifRevision: revision })).rejects.toMatchObject({
    code: 'CONFLICT',
  });
});

test('whole histories put at once end with the longest', async () => {
  const { either } = await two();
  const history = (length: number) => ({
    id: 'c',
    messages: Array.from({ length }, (_, index) => ({ index })),
  });
  await Promise.all(
    calls(30, (index) => either(index).put(history(index + 1), { ifExists: 'append' })),
  );
  expect(await either(0).get('c')).toEqual(history(30));
});

test('a list goes on through deletions and additions, and gives nothing twice', async () => {
  const { stores, either } = await two();
  await collect(
    either(0).putMany(Array.from({ length: 1200 }, (_, index) => ({ id: `old-${index}` }))),
  );
  const seen: string[] = [];
  for await (const { id } of either(0).list({ id: 'old-*' })) {
    seen.push(id);
    if (seen.length % 10 === 0) await either(1).delete(`old-${seen.length - 1}`);
    if (seen.length % 100 === 0) await either(1).put({ id: `new-${seen.length}` });
  }
  expect([seen.length, new Set(seen).size]).toEqual([1200, 1200]);
  expect(await collect(stores[0].audit())).toEqual([]);
});

test('a read-only handle follows a writer and refuses to write', async () => {
  const folder = newFolder();
  const writer = await open(folder);
  const reader = await open(folder, { readOnly: true });
  await writer.conversations.put({ id: 'c', messages: ['x'.repeat(1000)] });
  expect(await reader.conversations.get('c')).toEqual({ id: 'c', messages: ['x'.repeat(1000)] });
  const writes = [
    reader.conversations.put({ id: 'd' }),
    reader.conversations.delete('c'),
    reader.gc.run({ grace: 0 }),
    reader.segments.release('p'),
    reader.blobs.delete('b'),
  ];
  for (const { reason } of (await Promise.allSettled(writes)) as PromiseRejectedResult[])
    expect(reason).toMatchObject({ code: 'READ_ONLY' });
  await writer.close();
  expect(await reader.conversations.get('c')).toBeDefined();
});

test('what is replaced or deleted while it is read is a conflict, not a mixture', async () => {
  const store = await open();
  const content = Buffer.alloc(20_000_000);
  for (let at = 0; at < content.length; at += 4)
    content.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
  await store.blobs.put('b', content);
  const reading = ((await store.blobs.get('b')) as AsyncIterable<Uint8Array>)[
    Symbol.asyncIterator
  ]();
  await reading.next();
  await store.blobs.delete('b');
  await store.gc.run({ grace: 0, full: true });
  const rest = async () => {
    while (!(await reading.next()).done);
  };
  await expect(rest()).rejects.toMatchObject({ code: 'CONFLICT' });
});
