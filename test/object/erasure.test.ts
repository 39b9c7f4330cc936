import { expect, test } from 'vitest';
import { MemoryObjectStore } from '../../src/backends/object/memory-store.ts';
import { openObjects } from '../../src/backends/object/open-objects.ts';
import { Store } from '../../src/store.ts';

/** The keys of objects that hold any of the texts, compressed or not. */
async function holding(
  store: MemoryObjectStore,
  backend: Store['backend'],
  texts: readonly string[],
): Promise<string[]> {
  const { decodeFrame } = await import('../../src/frame.ts');
  const found: string[] = [];
  for (const { key } of (await store.list('')).objects) {
    const body = Buffer.from((await store.get(key))?.body ?? []);
    const isFrame = body.subarray(0, 3).toString() === 'VFR';
    const plain = isFrame ? Buffer.from(decodeFrame(body, key)) : body;
    if (texts.some((text) => plain.includes(text))) found.push(key);
  }
  expect(backend.location).toBe('memory:');
  return found;
}

test('erasing leaves no content of what was deleted in any object, and tells what others share', async () => {
  const objects = new MemoryObjectStore();
  const store = new Store(await openObjects(objects));
  const secret = `a long secret ${'.'.repeat(5000)}`;
  const shared = `a shared prompt ${'.'.repeat(5000)}`;
  const messages = (...contents: string[]) => contents.map((content) => ({ role: 'user', content }));
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
  expect(report).toMatchObject({ deleted: ['gone'], collection: { isComplete: true, remnants: [] } });
  expect(report.shared.map(({ manifests }) => manifests)).toEqual([[{ kind: 'conversation', id: 'stays' }]]);
  expect(await holding(objects, store.backend, ['a long secret', 'secret-model'])).toEqual([]);
  expect(await holding(objects, store.backend, ['a short secret'])).toEqual(['manifests/conversation/stays.json']);
  expect(await store.conversations.get('stays')).toBeDefined();
  await store.close();
});
