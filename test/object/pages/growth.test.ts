import { beforeEach, describe, expect, test } from 'vitest';
import type { NewSegment } from '../../../src/backends/contract/manifests.ts';
import { absorbedPages } from '../../../src/backends/object/commit/paging.ts';
import { ObjectBackend } from '../../../src/backends/object/object-backend.ts';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import { append, commit, conversation, entry, put, segment } from '../../conformance/builders.ts';
import { times } from '../../thorough.ts';
import { CountedStore } from './counted-store.ts';

/** What a growing conversation costs: bytes and requests do not grow with it. */

const APPENDS = times(400, 10_000);
const KIB = 1024;

/** Text that compresses as text does, and differs from message to message. */
function text(bytes: number, number: number): string {
  const words = 'the agent reads a file and returns its result to the caller of tool'.split(' ');
  let made = '';
  for (let at = 0; made.length < bytes; at++)
    made += `${words[(at * 7 + number) % words.length]} ${(at * 7919 + number * 104_729) % 9973} `;
  return made.slice(0, bytes);
}

let store: CountedStore;
let backend: ObjectBackend;
beforeEach(async () => {
  store = new CountedStore(new MemoryObjectStore());
  backend = new ObjectBackend(store);
  // Once a process, a writer stores its mark and lists hints of damage.
  await commit(backend, put('first', [entry('1', 'first')]));
  await commit(backend, put('a', [entry(text(400, 0))]));
});

/** As `conversations.append` does it: reads the newest entry, then writes at its revision. */
async function grow(
  appends: number,
  made: (number: number) => { body: string; segments: NewSegment[]; idempotencyKey?: string },
): Promise<{ bytesUp: number; gets: number; puts: number }> {
  const { get, put: puts } = store.requests;
  const before = store.bytesUp;
  for (let number = 1; number <= appends; number++) {
    const [manifest] = await backend.read([conversation('a')], { entries: 'newest' });
    const { body, segments, idempotencyKey } = made(number);
    const write = append('a', [entry(body, ...segments)], {
      ...(manifest && { ifRevision: manifest.revision }),
      ...(idempotencyKey !== undefined && { idempotencyKey }),
    });
    await commit(backend, write);
  }
  return {
    bytesUp: (store.bytesUp - before) / appends,
    gets: (store.requests.get - get) / appends,
    puts: (store.requests.put - puts) / appends,
  };
}

describe(`on average over ${APPENDS} appends, one takes`, () => {
  test('8 KiB and what is new, and little more than one GET and one PUT', async () => {
    const inline = (number: number) => ({ body: text(400, number), segments: [] });
    const { bytesUp, gets, puts } = await grow(APPENDS, inline);
    expect(bytesUp).toBeLessThan(8 * KIB + 400);
    expect(bytesUp).toBeLessThan(4 * KIB);
    expect(gets + puts).toBeLessThan(2 + 0.5);
  }, 300_000);

  test('below one request for pages where messages are long, too', async () => {
    const long = (number: number) => ({ body: text(3000, number), segments: [] });
    const { bytesUp, gets, puts } = await grow(APPENDS / 3, long);
    expect(bytesUp).toBeLessThan(8 * KIB + 3000);
    expect(gets + puts).toBeLessThan(2 + 1);
  }, 300_000);

  test('no more with a new segment each, but for the segment', async () => {
    let segmentBytes = 0;
    const withSegment = (number: number) => {
      const content = text(5000, number);
      segmentBytes += content.length;
      return { body: text(100, number), segments: [segment(content)] };
    };
    const { bytesUp, gets, puts } = await grow(APPENDS / 3, withSegment);
    expect(bytesUp).toBeLessThan(8 * KIB + (3 * segmentBytes) / APPENDS);
    // A PUT that announces, and two for the segment.
    expect(gets + puts).toBeLessThan(2 + 1 + 2 + 1);
  }, 300_000);

  test('no more with an idempotency key each', async () => {
    const withKey = (number: number) => ({
      body: text(200, number),
      segments: [],
      idempotencyKey: `key ${number}`,
    });
    const { bytesUp, gets, puts } = await grow(APPENDS, withKey);
    expect(bytesUp).toBeLessThan(8 * KIB);
    expect(gets + puts).toBeLessThan(2 + 0.6);
    const again = append('a', [entry('again')], { idempotencyKey: 'key 1' });
    expect(await commit(backend, again)).toMatchObject({ status: 'unchanged' });
  }, 300_000);
});

test('a conversation that has grown is read with a GET for each of a few pages', async () => {
  await grow(APPENDS, (number) => ({ body: text(400, number), segments: [] }));
  const reader = new ObjectBackend(store, { readOnly: true });
  const { get } = store.requests;
  const [manifest] = await reader.read([conversation('a')]);
  expect(manifest?.entryCount).toBe(APPENDS + 1);
  const bodies = manifest?.entries.map(({ body }) => Buffer.from(body).toString());
  expect(bodies).toEqual(Array.from({ length: APPENDS + 1 }, (_, at) => text(400, at)));
  expect(store.requests.get - get).toBeLessThan(1 + 25);
}, 300_000);

test('a short conversation has no pages: it is one object', async () => {
  for (let number = 1; number <= 40; number++) await commit(backend, append('a', [entry('short')]));
  expect(await backend.usage()).toMatchObject({ segments: 1 });
});

test('there are never many pages, and each byte is stored again only a few times', () => {
  const sizes = { above: 8 * KIB, fanIn: 8, most: 3 * KIB * KIB };
  let pages: number[] = [];
  let written = 0;
  const added = 9 * KIB;
  for (let number = 1; number <= 20_000; number++) {
    const absorbed = absorbedPages(pages, added, sizes);
    const merged = pages.slice(pages.length - absorbed).reduce((sum, each) => sum + each, added);
    pages = [...pages.slice(0, pages.length - absorbed), merged];
    written += merged;
    expect(merged).toBeLessThanOrEqual(sizes.most);
    const full = pages.filter((bytes) => bytes >= sizes.most / 2).length;
    expect(pages.length - full).toBeLessThanOrEqual(3 * 7);
    expect(full).toBeLessThanOrEqual((number * added) / (sizes.most / 2));
  }
  expect(written / (20_000 * added)).toBeLessThan(5);
});
