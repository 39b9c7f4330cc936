import { afterAll, beforeAll, expect, test } from 'vitest';
import { openObjects } from '../../../src/backends/object/open-objects.ts';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import { Segments } from '../../../src/cas/segments.ts';
import { SystemRandomness } from '../../../src/core/system/system-clock.ts';
import { GarbageCollection } from '../../../src/gc/garbage-collection.ts';
import { Prune } from '../../../src/gc/retention/prune.ts';
import { Blobs } from '../../../src/manifest/blobs/blobs.ts';
import { Conversations } from '../../../src/manifest/conversations/conversations.ts';
import { Holds } from '../../../src/manifest/conversations/holds.ts';
import { Store } from '../../../src/store.ts';
import { times } from '../../thorough.ts';
import { DepthStore } from './depth-store.ts';
import { buildStore, CONSTANT, idsOf, keysOf, open, VERBS, type Verb } from './verbs.ts';

/** Conversations of the two stores that are compared. */
const SMALL = 32;
const LARGE = times(160, 544);

/** Objects for each unit of depth, at least. */
const OBJECTS = 16;

/** Requests for each unit of depth, at least, of the 32 that may be under way at once. */
const REQUESTS = 26;

interface Cost {
  readonly depth: number;
  readonly requests: number;
  readonly objects: number;
}

const stores = new Map<number, MemoryObjectStore>();
beforeAll(async () => {
  for (const conversations of [SMALL, LARGE])
    stores.set(conversations, await buildStore(conversations));
});
afterAll(() => stores.clear());

async function costOf({ prepare, run }: Verb, conversations: number): Promise<Cost> {
  const ids = idsOf(conversations);
  const some = ids.filter((_, at) => at % 4 === 0);
  const objects = await copyOf(stores.get(conversations) as MemoryObjectStore);
  const preparing = await open(objects);
  await prepare?.({ objects, store: preparing, ids, some });
  await preparing.close();
  const service = new DepthStore(objects);
  const system = new SystemRandomness();
  // One report in 16 trims the others; here, no report does.
  const randomness = { nonce: () => system.nonce(), fraction: () => 0.5 };
  const store = new Store(await openObjects(service, { inlineBelow: 64 }, { randomness }));
  const opened = { depth: service.depth, requests: service.requests };
  service.touched.clear();
  await run({ store, ids, some });
  const cost = {
    depth: service.depth - opened.depth,
    requests: service.requests - opened.requests,
    objects: service.touched.size,
  };
  await store.close();
  return cost;
}

async function copyOf(objects: MemoryObjectStore): Promise<MemoryObjectStore> {
  const copy = new MemoryObjectStore();
  for (const key of await keysOf(objects)) {
    const { body } = (await objects.get(key)) ?? {};
    if (body !== undefined) await copy.put(key, body, { kind: 'any' });
  }
  return copy;
}

test.each(Object.entries(VERBS))(
  '%s waits for few requests one after the other, however many objects there are',
  async (_, verb) => {
    const small = await costOf(verb, SMALL);
    const large = await costOf(verb, LARGE);
    const more = (what: keyof Cost) => large[what] - small[what];
    expect(more('objects')).toBeGreaterThanOrEqual(32);
    const most = Math.max(more('objects') / OBJECTS, more('requests') / REQUESTS);
    expect(more('depth')).toBeLessThanOrEqual(Math.ceil(most));
  },
);

test('every verb is in the table', () => {
  const classes = [Store, Conversations, Holds, Segments, Blobs, GarbageCollection, Prune];
  const methods = classes.flatMap(({ name, prototype }) =>
    Object.entries(Object.getOwnPropertyDescriptors(prototype))
      .filter(([method, { value }]) => method !== 'constructor' && typeof value === 'function')
      .map(([method]) => `${name}.${method}`),
  );
  const shown = Object.values(VERBS).flatMap(({ shows }) => shows);
  expect(new Set([...shown, ...CONSTANT])).toEqual(new Set([...methods, 'restoreStore']));
});
