import { expect, test } from 'vitest';
import { openStore, type Store } from '../../src/index.ts';
import { newFolder } from './place.ts';

const messages = [{ role: 'user', content: 'Hello' }];

const CALLS: [string, (store: Store, signal?: AbortSignal) => Promise<unknown>][] = [
  ['a put', (store) => store.conversations.put({ model: 'm', messages })],
  ['a get', (store, signal) => store.conversations.get('a', signal && { signal })],
  ['a list', (store) => store.backend.list('conversation')[Symbol.asyncIterator]().next()],
  ['a collection', (store) => store.backend.collect()],
  ['an audit', (store) => store.backend.audit().next()],
  ['usage', (store, signal) => store.usage(signal && { signal })],
  ['health', (store) => store.health()],
  ['a lease', (store) => store.backend.lease('x', 1000)],
  ['reading reports', (store) => store.backend.reports.list()],
];

test.each([
  ['a directory', () => newFolder()],
  ['objects', () => 'memory:'],
])('the signal of a store in %s ends every call, but for its last words', async (_, place) => {
  const controller = new AbortController();
  const store = await openStore(place(), { signal: controller.signal });
  await store.conversations.put({ id: 'a', model: 'm', messages });
  for (const [, call] of CALLS) await call(store);
  controller.abort(new Error('enough'));
  for (const [name, call] of CALLS) {
    for (const signal of [undefined, new AbortController().signal]) {
      const error = await call(store, signal).catch((cause: unknown) => cause);
      expect({ name, error }).toMatchObject({ name, error: { code: 'ABORTED' } });
    }
  }
  await store.backend.reports.add({ time: 1, body: '{}' });
  await store.close();
  await expect(store.health()).rejects.toMatchObject({ code: 'CLOSED' });
});
