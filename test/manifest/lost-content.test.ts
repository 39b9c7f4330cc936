import { beforeEach, describe, expect, it } from 'vitest';
import { openObjects } from '../../src/backends/object/open-objects.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import { Store } from '../../src/store.ts';

/** Content that something other than Varve deleted: what readers get. */

const LONG = `Not inline: ${'.'.repeat(10_000)}`;
const ADVICE = 'run an audit with repair; if that does not bring it back, put the';

let objects: MemoryObjectStore;
let store: Store;

beforeEach(async () => {
  objects = new MemoryObjectStore();
  const writer = new Store(await openObjects(objects));
  await writer.conversations.put({ id: 'a', messages: [{ role: 'user', content: LONG }] });
  await writer.blobs.put('b', [Buffer.alloc(10_000, 'b')]);
  await writer.close();
  const data = (await objects.list('segments/')).objects
    .map(({ key }) => key)
    .filter((key) => !key.endsWith('.meta'));
  await objects.delete(data);
  store = new Store(await openObjects(objects));
});

async function drained(content: AsyncIterable<unknown> | undefined): Promise<void> {
  for await (const _ of content ?? []);
}

describe('lost content', () => {
  it.each([
    ['conversations.get', () => store.conversations.get('a'), 'conversation'],
    ['conversations.stat', () => store.conversations.stat('a'), 'conversation'],
    ['exportJsonl', () => drained(store.exportJsonl()), 'conversation'],
    ['blobs.get', async () => drained(await store.blobs.get('b')), 'blob'],
  ])('is named by %s with what to do, and not taken for collected', async (_, read, kind) => {
    const name = `${kind} "${kind === 'blob' ? 'b' : 'a'}"`;
    const error: unknown = await read().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: 'CORRUPT' });
    const { message } = error as Error;
    expect(message).toMatch(
      new RegExp(`^content of ${name} is lost \\(segment [0-9a-f]{64} is not stored any more\\)`),
    );
    expect(message).toContain(`${ADVICE} ${kind} again`);
    expect(message).toMatch(/ or restore a backup$/);
  });

  it('is left out of an export of all others, which names it at the end', async () => {
    const others = ['b', 'c'].map((id) => ({ id, messages: [{ role: 'user', content: id }] }));
    for (const other of others) await store.conversations.put(other);
    const lines = others.map((other) => `${JSON.stringify(other)}\n`).join('');

    const pieces: Uint8Array[] = [];
    const exporting = async () => {
      for await (const piece of store.exportJsonl()) pieces.push(piece);
    };
    await expect(exporting()).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringContaining('content of conversation "a" is lost'),
    });
    expect(Buffer.concat(pieces).toString()).toBe(lines);

    const failed: unknown[] = [];
    const onFailure = (id: string, { code }: Error & { code: string }) => failed.push([id, code]);
    const told: Uint8Array[] = [];
    for await (const piece of store.exportJsonl({ onFailure })) told.push(piece);
    expect(Buffer.concat(told).toString()).toBe(lines);
    expect(failed).toEqual([['a', 'CORRUPT']]);
  });

  it('comes back when it is put again', async () => {
    const messages = [{ role: 'user', content: LONG }];
    expect(await store.conversations.put({ id: 'a', messages })).toMatchObject({
      status: 'unchanged',
    });
    expect(await store.conversations.get('a')).toEqual({ id: 'a', messages });
    await store.blobs.put('b', [Buffer.alloc(10_000, 'b')]);
    await drained(await store.blobs.get('b'));
  });

  it('does not keep a longer conversation from replacing it', async () => {
    const longer = {
      id: 'a',
      messages: [
        { role: 'user', content: LONG },
        { role: 'user', content: 'more' },
      ],
    };
    await store.conversations.put(longer, { ifExists: 'replace' });
    expect(await store.conversations.get('a')).toEqual(longer);
  });
});
