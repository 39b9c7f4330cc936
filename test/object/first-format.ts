import type { ObjectStore } from '../../src/backends/storage/object-store.ts';

/** Makes a store as the first versions did: its lists are read from rollups. */
export async function makeFirstFormat(store: Pick<ObjectStore, 'put'>): Promise<void> {
  const descriptor = { varve: 'objects', format: 1, hash: 'sha256', created: '2025-01-01' };
  await store.put('varve.json', Buffer.from(JSON.stringify(descriptor)), { kind: 'any' });
}
