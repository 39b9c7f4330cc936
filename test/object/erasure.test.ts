import { beforeEach, describe, expect, test } from 'vitest';
import { ObjectBackend } from '../../src/backends/object/object-backend.ts';
import { openObjects } from '../../src/backends/object/open-objects.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import type { PutResult } from '../../src/backends/storage/object-store.ts';
import { VarveError } from '../../src/core/errors.ts';
import { Store } from '../../src/store.ts';
import { commit, contentOf, entry, put, remove, segment } from '../conformance/builders.ts';
import { holding } from './holding.ts';

test('an erasure leaves no deleted content in any object, and reports what others share', async () => {
  const objects = new MemoryObjectStore();
  const store = new Store(await openObjects(objects));
  const secret = `a long secret ${'.'.repeat(5000)}`;
  const shared = `a shared prompt ${'.'.repeat(5000)}`;
  const messages = (...contents: string[]) =>
    contents.map((content) => ({ role: 'user', content }));
  await store.conversations.put({
    id: 'gone',
    model: 'secret-model',
    messages: messages(shared, secret, 'a short secret'),
  });
  await store.conversations.put({
    id: 'stays',
    model: 'model',
    messages: messages(shared, 'a short secret of its own'),
  });
  for await (const head of store.conversations.list()) expect(head.bytes).toBeGreaterThan(5000);
  const report = await store.eraseConversations(['gone']);
  expect(report).toMatchObject({
    deleted: ['gone'],
    collection: { isComplete: true, remnants: [] },
  });
  expect(report.shared.map(({ manifests }) => manifests)).toEqual([
    [{ kind: 'conversation', id: 'stays' }],
  ]);
  expect(await holding(objects, ['a long secret', 'secret-model'])).toEqual([]);
  expect(await holding(objects, ['a short secret'])).toEqual(['manifests/conversation/stays.json']);
  expect(await store.conversations.get('stays')).toBeDefined();
  await store.close();
});

/** A store that can refuse changes of sidecars. */
class BusyStore extends MemoryObjectStore {
  isBusy = false;

  override async put(...[key, ...rest]: Parameters<MemoryObjectStore['put']>): Promise<PutResult> {
    if (this.isBusy && key.endsWith('.meta')) throw new VarveError('THROTTLED', 'slow down');
    return super.put(key, ...rest);
  }
}

test('an erasure reports what it could not delete although nothing needs it', async () => {
  const objects = new BusyStore();
  const writer = new ObjectBackend(objects);
  for (const id of ['a', 'b']) await commit(writer, put(id, [entry('body', segment(`of ${id}`))]));
  objects.isBusy = true;
  await commit(writer, remove('a'));
  objects.isBusy = false;
  // Data that arrived late, of a writer that was fenced.
  const data = (await objects.list('segments/')).objects.filter(
    ({ key }) => !key.endsWith('.meta'),
  );
  const [late] = data
    .filter(({ key }) => key.includes(segment('of a').address))
    .map(({ key }) => key);
  await objects.put(`segments/${segment('c').address}/AAAAAAAAAAAAb1`, Buffer.from('c'), {
    kind: 'any',
  });
  const report = await new ObjectBackend(objects).collect({ erase: true });
  expect(report.isComplete).toBe(true);
  expect(report.remnants?.map(({ location }) => location).sort()).toEqual(
    [late, `segments/${segment('c').address}/AAAAAAAAAAAAb1`].sort(),
  );
  expect((await contentOf(writer, 'b'))?.length).toBe(1);
});

describe('an erasure of conversations beside the garbage of others', () => {
  const long = (text: string) => `${text} ${'.'.repeat(5000)}`;
  const conversation = (id: string, ...texts: string[]) => ({
    id,
    messages: texts.map((content) => ({ role: 'user', content: long(content) })),
  });
  let objects: BusyStore;
  let store: Store;
  beforeEach(async () => {
    objects = new BusyStore();
    store = new Store(await openObjects(objects, { spillAbove: 100 }));
    await store.conversations.put(conversation('mine', 'my text'));
    await store.conversations.put(conversation('other', 'text of another'));
    objects.isBusy = true;
    await store.conversations.delete('other');
    objects.isBusy = false;
  });

  test('reports only what is theirs; an erasure of the whole store reports the rest', async () => {
    const report = await store.eraseConversations(['mine']);
    expect(report).toMatchObject({
      deleted: ['mine'],
      collection: { isComplete: true, remnants: [] },
    });
    expect((await store.gc.erase()).remnants).toHaveLength(1);
  });

  test('reports what is left of theirs, spilled bodies too', async () => {
    for (const more of ['one', 'two']) {
      const body = { role: 'user', content: 'x'.repeat(200) + more };
      await store.conversations.append('mine', [body]);
    }
    const [before] = await store.backend.read([{ kind: 'conversation', id: 'mine' }]);
    const own = await store.backend.addresses(before?.spilled ?? []);
    expect(own.length).toBeGreaterThan(0);
    // No sidecar names data that arrives late.
    const late = own.map((address) => `segments/${address}/AAAAAAAAAAAAb9`);
    for (const key of late) await objects.put(key, Buffer.from('late'), { kind: 'any' });
    const { collection } = await store.eraseConversations(['mine']);
    expect(collection.remnants?.map(({ location }) => location).sort()).toEqual(late.sort());
  });

  test('reports all that is left if it is not known what they were', async () => {
    const { absent, collection } = await store.eraseConversations(['mine', 'other']);
    expect(absent).toEqual(['other']);
    expect(collection.remnants).toHaveLength(1);
  });

  test('ends although a segment of theirs is lost', async () => {
    const { objects: segments } = await objects.list('segments/');
    const sidecars = segments.filter(({ key }) => key.endsWith('.meta')).map(({ key }) => key);
    const body = { v: 1, nonce: 'n', gen: 'AAAAAAAAAAAAb9', state: 'gone', refCount: 0, refs: [] };
    for (const key of sidecars)
      await objects.put(key, Buffer.from(JSON.stringify(body)), { kind: 'any' });
    expect(await store.eraseConversations(['mine'])).toMatchObject({ deleted: ['mine'] });
  });
});
