import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openObjects } from '../../src/backends/object/open-objects.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import { Store } from '../../src/store.ts';
import { olderLine, olderLines } from '../older-content.ts';
import { bytesOf } from './damage/stored-objects.ts';

/** Stores as code of each format wrote them; see `test/object/stores/README.md`. */
const FORMATS = [1, 2];

async function olderStore(format: number): Promise<MemoryObjectStore> {
  const file = join(import.meta.dirname, 'stores', `format-${format}.json`);
  const bodies: Record<string, string> = JSON.parse(readFileSync(file, 'utf8'));
  const objects = new MemoryObjectStore();
  for (const [key, body] of Object.entries(bodies))
    await objects.put(key, Buffer.from(body, 'base64'), { kind: 'any' });
  return objects;
}

const open = async (objects: MemoryObjectStore, readOnly = false) =>
  new Store(await openObjects(objects, { readOnly }));

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const every: Item[] = [];
  for await (const item of items) every.push(item);
  return every;
}

/** What the stores hold, written down without the code that reads them. */
const LONG = (text: string) => `${text} `.repeat(600);
const LINES = [
  olderLines(LONG),
  ...Array.from({ length: 20 }, (_, at) => olderLine(LONG, `many-${at}`, 'o3', `text ${at}`)),
].join('');

async function expectContent(store: Store): Promise<void> {
  expect(Buffer.concat(await all(store.exportJsonl())).toString()).toBe(LINES);
  expect((await all(store.blobs.list())).map(({ name, bytes }) => `${name} ${bytes}`)).toEqual([
    'a-blob 100000',
  ]);
  expect((await all(store.conversations.holds.list())).map(({ id }) => id)).toEqual(['kept']);
  expect(await all(store.audit())).toEqual([]);
}

describe.each(FORMATS)('a store of format %i', (format) => {
  test('is read as it is', async () => {
    const store = await open(await olderStore(format), true);
    await expectContent(store);
    await store.close();
  });

  test('is written as it is, in its format', async () => {
    const objects = await olderStore(format);
    const store = await open(objects);
    const again = [{ role: 'assistant', content: 'again' }];
    const appended = store.conversations.append('appended', again, { idempotencyKey: 'once' });
    expect(await appended).toMatchObject({ status: 'unchanged' });
    await store.conversations.put({ id: 'new', messages: [{ role: 'user', content: 'hi' }] });
    await store.conversations.delete('new');
    await store.gc.run({ grace: 0, full: true });
    await expectContent(store);
    await store.close();
    expect(JSON.parse((await bytesOf(objects, 'varve.json')).toString())).toMatchObject({ format });
  });
});
