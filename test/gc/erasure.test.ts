import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openStore, type Store } from '../../src/store.ts';

async function storeAt(location: string): Promise<Store> {
  const store = await openStore(location);
  onTestFinished(() => store.close());
  for (const id of ['a', 'b'])
    await store.conversations.put({ id, messages: [{ content: id.repeat(10_000) }] });
  return store;
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'varve-erasure-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return join(path, 'store');
}

describe.each([
  ['a directory', folder],
  ['objects', () => 'memory:'],
])('an erasure in %s', (_, location) => {
  it('does not claim that nothing is left when its deadline came first', async () => {
    const store = await storeAt(location());
    await store.conversations.delete('a');
    const cut = await store.gc.erase({ deadline: 0 });
    expect(cut.isComplete).toBe(false);
    expect(cut.remnants).not.toEqual([]);
    const { collection } = await store.eraseConversations(['b'], { deadline: 0 });
    expect(collection.remnants).not.toEqual([]);
    expect(await store.gc.erase()).toMatchObject({ isComplete: true, remnants: [] });
  });

  it('takes a list of ids, not one string for a list of its characters', async () => {
    const store = await storeAt(location());
    await expect(store.eraseConversations('ab')).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(await store.conversations.stat('a')).toBeDefined();
  });
});
