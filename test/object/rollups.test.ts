import { beforeEach, describe, expect, test } from 'vitest';
import type { ObjectBackend } from '../../src/backends/object/object-backend.ts';
import { type OpenObjectsOptions, openObjects } from '../../src/backends/object/open-objects.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import { decodeFrame, encodeFrame } from '../../src/cas/codec/frame.ts';
import { VarveError } from '../../src/core/errors.ts';
import { entry, idsOf, put, remove } from '../conformance/builders.ts';
import { makeFirstFormat } from './first-format.ts';

const ROLLUPS = 'index/conversation/';

/** The number of rollups from which on a list merges them. */
const MERGED_ROLLUPS = 16;

let store: MemoryObjectStore;
beforeEach(async () => {
  store = new MemoryObjectStore();
  await makeFirstFormat(store);
});

/** Works in a process of its own, which opens the store and closes it. Returns its GETs. */
async function gets(
  work: (backend: ObjectBackend) => Promise<unknown>,
  options: OpenObjectsOptions = {},
) {
  const backend = await openObjects(store, options);
  await work(backend);
  await backend.close();
  return backend.metrics().requests.get;
}

const ids = (count: number) => Array.from({ length: count }, (_, at) => `c${at}`);
const readOnly = { readOnly: true };

function write(count: number, body: string): Promise<unknown> {
  const writes = ids(count).map((id) => put(id, [entry(body)], { ifExists: 'replace' }));
  return gets((backend) => backend.commit(writes));
}

function list(expected: number, options: OpenObjectsOptions = {}): Promise<number> {
  return gets(async (backend) => {
    expect(await idsOf(backend.list('conversation'))).toHaveLength(expected);
  }, options);
}

async function rollups(): Promise<string[]> {
  const keys: string[] = [];
  for (let after = ''; ; after = keys.at(-1) as string) {
    const { objects, isTruncated } = await store.list(ROLLUPS, { after });
    keys.push(...objects.map(({ key }) => key));
    if (!isTruncated) return keys;
  }
}

/** Stores as many rollups as an import of hundreds of thousands of conversations does. */
async function leaveRollups(count: number): Promise<void> {
  const [first = ''] = await rollups();
  const body = (await store.get(first))?.body ?? new Uint8Array();
  for (let at = 0; at < count; at++) await store.put(`${ROLLUPS}R${at}`, body, { kind: 'any' });
}

describe('a list beside more rollups than one request may delete', () => {
  beforeEach(async () => {
    await write(20, '1');
    await leaveRollups(1500);
  });

  test('shows everything, and leaves one rollup', async () => {
    await list(20);
    expect((await rollups()).length).toBeLessThan(MERGED_ROLLUPS);
    expect(await list(20)).toBeLessThan(5);
  });

  test('is complete for processes that only read, and they change nothing', async () => {
    await list(20, readOnly);
    expect(await rollups()).toHaveLength(1501);
  });

  test('is short after somebody has written', async () => {
    await write(20, '2');
    expect((await rollups()).length).toBeLessThan(MERGED_ROLLUPS);
    expect(await list(20, readOnly)).toBeLessThan(MERGED_ROLLUPS);
  });

  test('is complete if rollups cannot be deleted', async () => {
    const denied = new VarveError('DENIED', 'no permission to delete');
    store.delete = () => Promise.reject(denied);
    await list(20);
    expect((await rollups()).length).toBeGreaterThan(1500);
  });
});

describe('what a list reads', () => {
  test('stays the same after conversations were written again and again', async () => {
    const costs: number[] = [];
    for (let round = 0; round < 6; round++) {
      await write(300, `${round}`);
      costs.push(await list(300, readOnly));
    }
    // The descriptor, and a few rollups.
    expect(Math.max(...costs)).toBeLessThan(1 + MERGED_ROLLUPS);
    await list(300);
    await list(300);
    expect(await list(300, readOnly)).toBeLessThan(1 + MERGED_ROLLUPS);
  });

  test('stays the same after many were deleted', async () => {
    for (let round = 0; round < 6; round++) {
      await write(300, `${round}`);
      await gets((backend) => backend.commit(ids(300).map((id) => remove(id))));
      const cost = await gets(async (backend) => {
        expect((await backend.usage()).manifests.conversation.count).toBe(0);
      }, readOnly);
      expect(cost).toBeLessThan(1 + MERGED_ROLLUPS);
    }
  });

  test('is bounded if many processes write and none of them lists', async () => {
    for (let round = 0; round < 60; round++) await write(20, `${round}`);
    expect((await rollups()).length).toBeLessThanOrEqual(MERGED_ROLLUPS);
    expect(await list(20, readOnly)).toBeLessThanOrEqual(1 + MERGED_ROLLUPS);
  });

  test('skips outdated entries: a merge drops them', async () => {
    for (let round = 0; round < 40; round++) await write(20, `${round}`);
    await leaveRollups(MERGED_ROLLUPS);
    await list(20);
    const [only = ''] = await rollups();
    // Twenty heads, and not hundreds.
    expect((await store.head(only))?.size).toBeLessThan(20 * 200);
  });
});

test('a rollup from before it counted bodies is read', async () => {
  await write(20, '1');
  const [key = ''] = await rollups();
  const object = await store.get(key);
  const { v, heads } = JSON.parse(
    Buffer.from(decodeFrame(object?.body ?? new Uint8Array(), key)).toString(),
  );
  const before = encodeFrame(Buffer.from(JSON.stringify({ v, heads })), { checksum: true });
  await store.put(key, before, { kind: 'any' });
  expect(await list(20, readOnly)).toBeLessThan(5);
  await write(20, '2');
  await leaveRollups(MERGED_ROLLUPS);
  expect(await list(20)).toBeLessThan(5 + MERGED_ROLLUPS);
  expect(await list(20, readOnly)).toBeLessThan(5);
});

test('a process that lists again reads only what is new', async () => {
  await write(300, '1');
  const backend = await openObjects(store, readOnly);
  await idsOf(backend.list('conversation'));
  await write(20, '2');
  const before = backend.metrics().requests.get;
  expect(await idsOf(backend.list('conversation'))).toHaveLength(300);
  expect(backend.metrics().requests.get - before).toBe(1);
  await backend.close();
});
