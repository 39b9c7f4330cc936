import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HOT_REFERENCES } from '../../src/backends/object/format/sidecar.ts';
import type { ObjectBackend } from '../../src/backends/object/object-backend.ts';
import { openObjects } from '../../src/backends/object/open-objects.ts';
import { MemoryObjectStore } from '../../src/backends/storage/memory-store.ts';
import type { RequestMetrics } from '../../src/core/request-metrics.ts';
import { append, commit, conversation, entry, put, remove } from '../conformance/builders.ts';

type Requests = RequestMetrics['requests'];

let store: MemoryObjectStore;
let backend: ObjectBackend;
beforeEach(async () => {
  store = new MemoryObjectStore();
  backend = await openObjects(store);
  // Once a process, a writer lists hints of damage when it meets old segments.
  await commit(backend, put('first', [entry('1', 'first')]));
  await commit(backend, put('first', [entry('1', 'first')]));
});
afterEach(() => backend.close());

/** The requests that work takes, without verbs that it does not use. */
async function requestsOf(
  work: () => Promise<unknown>,
  asked = backend,
): Promise<Partial<Requests>> {
  const before = asked.metrics().requests;
  await work();
  const after = asked.metrics().requests;
  const spent = Object.entries(after).map(
    ([verb, count]) => [verb, count - before[verb as keyof Requests]] as const,
  );
  return Object.fromEntries(spent.filter(([, count]) => count > 0));
}

describe('a conversation takes', () => {
  test('two requests if all of it is inline: a journal, and the manifest', async () => {
    expect(await requestsOf(() => commit(backend, put('a', [entry('inline')])))).toEqual({
      put: 2,
    });
  });

  test('three, and two for each new segment', async () => {
    const work = () => commit(backend, put('a', [entry('1', 'one', 'two', 'three')]));
    expect(await requestsOf(work)).toEqual({ put: 3 + 2 * 3 });
  });

  test('three, and one for each stored segment that this process knows', async () => {
    const work = () => commit(backend, put('a', [entry('1', 'first')]));
    expect(await requestsOf(work)).toEqual({ put: 3 + 1 });
  });

  test('a few more for a stored segment that this process does not know', async () => {
    const other = await openObjects(store);
    await commit(other, put('other', [entry('1', 'of the other')]));
    await commit(other, put('other', [entry('1', 'of the other')]));
    const work = () => commit(other, put('a', [entry('1', 'first')]));
    expect(await requestsOf(work, other)).toEqual({ put: 3 + 2, get: 1, head: 1 });
    await other.close();
  });

  test('no write for a segment that is hot', async () => {
    const many = Array.from({ length: HOT_REFERENCES + 1 }, (_, at) =>
      put(`many ${at}`, [entry('1', 'first')]),
    );
    await backend.commit(many);
    const work = () => commit(backend, put('a', [entry('1', 'first')]));
    expect(await requestsOf(work)).toEqual({ put: 3, get: 1 });
  });
});

test('an import writes each shared sidecar once, however many conversations share it', async () => {
  const writes = Array.from({ length: 200 }, (_, at) =>
    put(`c${at}`, [entry('1', `shared ${at % 5}`)]),
  );
  // Once a process, a writer of many looks whether the first of them is there.
  expect(await requestsOf(() => backend.commit(writes))).toEqual({
    put: 1 + 2 * 200 + 2 * 5,
    get: 1,
  });
});

describe('an import of what is there', () => {
  const writesOf = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, at) =>
      put(`c${from + at}`, [entry('1', `shared ${(from + at) % 5}`), entry('2')]),
    );

  test('reads each conversation once, and looks once at each segment', async () => {
    await backend.commit(writesOf(0, 200));
    const again = await openObjects(store);
    const work = () => again.commit(writesOf(0, 200));
    expect(await requestsOf(work, again)).toEqual({ get: 200, head: 5, list: 1 });
    expect(await requestsOf(work, again)).toEqual({ get: 200 });
    await again.close();
  });

  test('goes on where it was cut off, and what is new costs as much as ever', async () => {
    const writes = writesOf(0, 500);
    await backend.commit(writes.slice(0, 100));
    const again = await openObjects(store);
    // Two windows beyond the last that is there, at most; a list of damage.
    const requests = await requestsOf(() => again.commit(writes), again);
    expect(requests.get).toBeLessThan(100 + 2 * 64 + 10);
    expect(requests.put).toBeLessThan(2 * 400 + 2 * 5 + 10);
    const more = await requestsOf(() => again.commit(writesOf(500, 700)), again);
    expect(more.get).toBeUndefined();
    await again.close();
  });

  test('is learnt from the first that are there', async () => {
    const fresh = await openObjects(store);
    // A process that has seen nothing yet looks at one.
    expect((await requestsOf(() => fresh.commit(writesOf(0, 100)), fresh)).get).toBeLessThan(10);
    await backend.commit(writesOf(100, 300));
    await fresh.commit(writesOf(100, 200));
    const again = await requestsOf(() => fresh.commit(writesOf(200, 300)), fresh);
    expect(again.put).toBeUndefined();
    await fresh.close();
  });

  test('finds what is damaged there, and stores all others', async () => {
    await backend.commit(writesOf(0, 40));
    await store.put('manifests/conversation/c3.json', Buffer.from('damage'), { kind: 'any' });
    const again = await openObjects(store);
    const outcomes = await again.commit(writesOf(0, 80));
    expect(outcomes.map(({ status }) => status)).toEqual(
      Array.from({ length: 80 }, (_, at) =>
        at === 3 ? 'failed' : at < 40 ? 'unchanged' : 'created',
      ),
    );
    await again.close();
  });
});

test('an append touches only what is new', async () => {
  await commit(backend, put('a', [entry('1', 'one', 'two', 'three')]));
  expect(await requestsOf(() => commit(backend, append('a', [entry('2')])))).toEqual({ put: 2 });
  const work = () => commit(backend, append('a', [entry('3', 'one', 'four')]));
  expect(await requestsOf(work)).toEqual({ put: 3 + 2 });
  const other = await openObjects(store);
  const appendOnce = () => commit(other, append('a', [entry('4')]));
  expect(await requestsOf(appendOnce, other)).toEqual({ get: 1, put: 2 });
  await other.close();
});

test('a conversation is read with one request, and one for each distinct segment that is not in memory', async () => {
  await commit(backend, put('a', [entry('1', 'one', 'two', 'one'), entry('2', 'two', 'three')]));
  const reader = await openObjects(store, { readOnly: true });
  const read = async () => {
    const [manifest] = await reader.read([conversation('a')]);
    await reader.fetch(manifest?.entries.flatMap(({ segments }) => segments) ?? []);
  };
  expect(await requestsOf(read, reader)).toEqual({ get: 1 + 3 });
  expect(await requestsOf(read, reader)).toEqual({ get: 1 });
  await reader.close();
});

test('a deletion takes a journal, a hint, two for the conversation, and one for each segment', async () => {
  await commit(backend, put('a', [entry('1', 'one', 'two')]));
  expect(await requestsOf(() => commit(backend, remove('a')))).toEqual({ put: 2 + 2 + 2 });
});

test('a list takes a LIST of journals, a catalog, and its pages', async () => {
  await backend.commit(Array.from({ length: 300 }, (_, at) => put(`c${at}`, [entry('1')])));
  await backend.close();
  const reader = await openObjects(store, { readOnly: true });
  const list = async () => {
    for await (const head of reader.list('conversation', { application: 'none' }))
      expect.unreachable(head.key.id);
  };
  const first = await requestsOf(list, reader);
  expect(first).toEqual({ list: 1, get: 2 });
  // Pages never change.
  expect(await requestsOf(list, reader)).toEqual({ list: 1, get: 1 });
  await reader.close();
});

test('a collection costs in proportion to the garbage, not to the store', async () => {
  await backend.commit(
    Array.from({ length: 500 }, (_, at) => put(`c${at}`, [entry('1', `text ${at}`)])),
  );
  await backend.commit(Array.from({ length: 10 }, (_, at) => remove(`c${at}`)));
  const requests = await requestsOf(() => backend.collect({ graceMs: 0 }));
  const { get = 0, head = 0, put: puts = 0, list = 0, delete: deletes = 0 } = requests;
  expect(get + head + puts + list + deletes).toBeLessThan(10 * 5 + 20);
});
