import { expect, test } from 'vitest';
import type { Finding } from '../../../src/backends/contract/audit.ts';
import { openObjects } from '../../../src/backends/object/open-objects.ts';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import { auditOf, commit, contentOf, entry, put, segment } from '../../conformance/builders.ts';
import { keysBelow } from './stored-objects.ts';

/** Below it are the sidecar and the data of the segment. */
const DATA = `segments/${segment('the text').address}`;

async function damaged(): Promise<{ store: MemoryObjectStore; dataKey: string }> {
  const store = new MemoryObjectStore();
  const backend = await openObjects(store);
  await commit(backend, put('a', [entry('1', 'the text')]));
  await backend.close();
  const [, dataKey = ''] = await keysBelow(store, DATA);
  const body = new Uint8Array((await store.get(dataKey))?.body ?? []);
  body[body.length - 1] = (body.at(-1) as number) ^ 1;
  await store.put(dataKey, body, { kind: 'any' });
  return { store, dataKey };
}

async function repairing(backend: Awaited<ReturnType<typeof openObjects>>): Promise<Finding[]> {
  return (await auditOf(backend, { repair: true })).findings;
}

test('an audit reports a damaged segment with the manifests that need it, and a repair marks it', async () => {
  const { store, dataKey } = await damaged();
  const backend = await openObjects(store);
  await expect(contentOf(backend, 'a')).rejects.toMatchObject({ code: 'CORRUPT' });
  const { address } = segment('the text');
  const expected = {
    kind: 'corrupt-data',
    address,
    location: dataKey,
    manifests: [{ kind: 'conversation', id: 'a' }],
    repaired: false,
    harmful: true,
  };
  expect(await repairing(backend)).toMatchObject([expected]);
  expect(await repairing(backend)).toMatchObject([expected]);
});

test.each([
  ['under another id', 'b'],
  ['under the same id, unchanged', 'a'],
])('a damaged segment is healed when its bytes are put again %s', async (_, id) => {
  const { store } = await damaged();
  const auditor = await openObjects(store);
  await repairing(auditor);
  await auditor.close();
  const backend = await openObjects(store);
  await commit(backend, put(id, [entry('1', 'the text')]));
  expect(await contentOf(backend, 'a')).toEqual([{ body: '1', segments: ['the text'] }]);
  expect((await auditOf(backend)).findings).toEqual([]);
  await backend.close();
  // After that the next writer finds no hint of damage.
  const other = await openObjects(store);
  await commit(other, put('a', [entry('1', 'the text')]));
  expect((await store.list('hints/damaged/')).objects).toEqual([]);
});

test('a segment whose data is gone is healed the same way', async () => {
  const { store, dataKey } = await damaged();
  await store.delete([dataKey]);
  const backend = await openObjects(store);
  expect(await repairing(backend)).toMatchObject([
    { kind: 'missing-data', location: dataKey, harmful: true },
  ]);
  await commit(backend, put('a', [entry('1', 'the text')]));
  expect(await contentOf(backend, 'a')).toEqual([{ body: '1', segments: ['the text'] }]);
});

test('other bytes than the segment’s heal nothing', async () => {
  const { store } = await damaged();
  const backend = await openObjects(store);
  await repairing(backend);
  const wrong = { ...segment('the text'), bytes: () => Buffer.from('the tex!') };
  await commit(backend, put('a', [entry('1', wrong)]));
  await expect(contentOf(backend, 'a')).rejects.toMatchObject({ code: 'CORRUPT' });
});
