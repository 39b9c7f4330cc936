import { expect, test } from 'vitest';
import { collect, open } from './place.ts';

test('what a caller alters after a put is not what was put', async () => {
  const { conversations } = await open();
  const ids = new Uint32Array(1000).fill(7);
  const conversation = { id: 'c', messages: [{ content: 'a'.repeat(500) }, { tokens: ids }] };
  const putting = conversations.put(conversation);
  conversation.messages[0] = { content: 'altered' };
  conversation.id = 'other';
  ids.fill(9);
  await putting;
  expect(await conversations.get('c')).toEqual({
    id: 'c',
    messages: [{ content: 'a'.repeat(500) }, { tokens: new Uint32Array(1000).fill(7) }],
  });
});

test('a source of an import may use its memory again', async () => {
  const store = await open();
  const memory = Buffer.alloc(400);
  function* source() {
    for (let index = 0; index < 100; index++) {
      memory.fill(0x20);
      memory.write(`{"id":"c${index}","messages":["${String(index).padStart(300, '.')}"]}`);
      memory[399] = 0x0a;
      yield memory;
    }
  }
  await store.importJsonl(source());
  for (let index = 0; index < 100; index++) {
    expect(await store.conversations.get(`c${index}`)).toEqual({
      id: `c${index}`,
      messages: [String(index).padStart(300, '.')],
    });
  }
});

test('what a caller does to the bytes of a conversation does not reach the next reader', async () => {
  const { conversations } = await open();
  await conversations.put({ id: 'c', messages: ['x'.repeat(1000)] });
  (await conversations.getBytes('c'))?.fill(0);
  ((await conversations.get('c')) as { messages: string[] }).messages.pop();
  expect(await conversations.get('c')).toEqual({ id: 'c', messages: ['x'.repeat(1000)] });
});

test('typed arrays of token ids stay typed wherever they are, also in messages added later', async () => {
  const { conversations } = await open();
  const odd = {
    id: 'c',
    x: Uint32Array.of(1, 2 ** 32 - 1),
    messages: [new Uint32Array(500), { a: [Uint32Array.of(3)] }, [1, 2]],
    last: new Uint32Array(),
  };
  await conversations.put(odd);
  expect(await conversations.get('c')).toEqual(odd);
  const added = [
    new Uint32Array(300),
    { tokens: Uint32Array.of(1) },
    { tokens: [1] },
    new Uint32Array(),
  ];
  await conversations.append('c', added);
  expect(await conversations.get('c')).toEqual({ ...odd, messages: [...odd.messages, ...added] });
});

test('every method of a closed store says that it is closed, and closing again does nothing', async () => {
  const store = await open();
  const { conversations, segments, blobs, gc } = store;
  await store.close();
  await store.close();
  const bytes = Buffer.from('x');
  const calls: Promise<unknown>[] = [
    conversations.put({ id: 'c' }),
    conversations.get('c'),
    conversations.append('c', [1]),
    conversations.delete('c'),
    conversations.stat('c'),
    collect(conversations.list()),
    store.importJsonl([Buffer.from('{}\n')]),
    collect(store.exportJsonl()),
    segments.put(bytes),
    blobs.put('b', bytes),
    gc.run(),
    collect(store.audit()),
    store.usage(),
  ];
  for (const result of await Promise.allSettled(calls))
    expect(result).toMatchObject({ reason: { code: 'CLOSED' } });
});
