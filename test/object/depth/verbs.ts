import { ObjectBackend } from '../../../src/backends/object/object-backend.ts';
import { openObjects } from '../../../src/backends/object/open-objects.ts';
import { deleteAll } from '../../../src/backends/storage/delete-all.ts';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import { copyContent } from '../../../src/gc/replication/copy-content.ts';
import { restoreContent } from '../../../src/gc/replication/restore.ts';
import { Store } from '../../../src/store.ts';

/** Shorter texts live in their conversation; longer ones are segments. */
const INLINE_BELOW = 64;

/** A store to work on, and the conversations in it. */
export interface Given {
  readonly objects: MemoryObjectStore;
  readonly store: Store;
  readonly ids: readonly string[];
  /** Every fourth of them. */
  readonly some: readonly string[];
}

export interface Verb {
  /** The methods that it stands for, as `Class.method`. */
  readonly shows: readonly string[];
  /** Gives the verb something to do. */
  readonly prepare?: (given: Given) => Promise<unknown>;
  readonly run: (given: Omit<Given, 'objects'>) => Promise<unknown>;
}

/** Methods that touch as many objects at any size of the store. */
export const CONSTANT = [
  'Store.close',
  'Store.health',
  'Store.lastUsage',
  'Store.metrics',
  'Conversations.delete',
  'Segments.get',
  'Segments.getTokens',
  'Segments.has',
  'Segments.put',
  'Segments.putTokens',
  'Segments.stat',
  'Blobs.delete',
  'Blobs.stat',
  // Runs what `run` runs.
  'GarbageCollection.schedule',
  // Runs an erasure, as `Store.eraseConversations` does.
  'GarbageCollection.erase',
];

const LONG = 'long';
const PIN = 'book';

export function idsOf(conversations: number): string[] {
  return Array.from({ length: conversations }, (_, at) => `c${String(at).padStart(4, '0')}`);
}

/** A conversation with a text of its own, and one that others have, too. */
function conversation(id: string): { id: string; messages: object[] } {
  return {
    id,
    messages: [
      { role: 'system', content: `${id.slice(-1)} is shared by some. `.repeat(4) },
      { role: 'user', content: `${id} has this alone. `.repeat(4) },
    ],
  };
}

function longConversation(messages: number): object {
  const texts = idsOf(messages).map((id) => ({ content: `${id} of the long one. `.repeat(4) }));
  return { id: LONG, messages: texts };
}

function* pages(count: number): Generator<Uint8Array> {
  for (let at = 0; at < count; at++) yield Buffer.from(`page ${at}`);
}

/** A chunk is a few KiB at least, so each piece becomes one chunk or two. */
async function* pieces(count: number): AsyncGenerator<Uint8Array> {
  let state = count;
  for (let at = 0; at < count; at++) {
    const words = Uint32Array.from({ length: 2 ** 14 }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state;
    });
    yield Buffer.from(words.buffer);
  }
}

async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const item of items) void item;
}

/** A store with conversations, one of them long, a blob, and segments under a pin. */
export async function buildStore(conversations: number): Promise<MemoryObjectStore> {
  const objects = new MemoryObjectStore();
  const store = await open(objects);
  await drain(store.conversations.putMany(idsOf(conversations).map(conversation)));
  await store.conversations.put(longConversation(conversations));
  await store.blobs.put('big', pieces(conversations / 2));
  await drain(store.segments.putMany(pages(conversations), { pin: PIN }));
  await store.close();
  return objects;
}

export async function open(objects: MemoryObjectStore): Promise<Store> {
  return new Store(await openObjects(objects, { inlineBelow: INLINE_BELOW, compressionLevel: 1 }));
}

export async function keysOf(objects: MemoryObjectStore, prefix = ''): Promise<string[]> {
  const keys: string[] = [];
  for (let after = ''; ; after = keys.at(-1) as string) {
    const page = await objects.list(prefix, { after });
    keys.push(...page.objects.map(({ key }) => key));
    if (!page.isTruncated) return keys;
  }
}

/** One after the other, so that each leaves a hint of its own. */
async function deleteSome({ store, some }: Given): Promise<void> {
  for (const id of some) await store.conversations.delete(id);
}

async function deleteObjects(
  { objects }: Given,
  prefix: string,
  isMeant: (key: string, at: number) => boolean = () => true,
): Promise<void> {
  await objects.delete((await keysOf(objects, prefix)).filter(isMeant));
}

const SIDECAR = '.meta';

/** Every verb that touches as many objects as there are conversations, or segments. */
export const VERBS: Readonly<Record<string, Verb>> = {
  'a list without its catalog': {
    shows: ['Conversations.list', 'Holds.list', 'Blobs.list', 'Segments.pins'],
    prepare: (given) => deleteObjects(given, 'catalog/'),
    run: ({ store }) => drain(store.conversations.list()),
  },
  'an upgrade': {
    shows: ['Store.upgrade'],
    prepare: async (given) => {
      const { body } = (await given.objects.get('varve.json')) ?? {};
      const { varve, hash, created } = JSON.parse(Buffer.from(body ?? '').toString());
      const before = Buffer.from(JSON.stringify({ varve, format: 1, hash, created }));
      await given.objects.put('varve.json', before, { kind: 'any' });
      for (const prefix of ['catalog/', 'heads/', 'journal/']) await deleteObjects(given, prefix);
    },
    run: ({ store }) => store.upgrade(),
  },
  'an export': {
    shows: ['Store.exportJsonl'],
    run: ({ store }) => drain(store.exportJsonl()),
  },
  'an export of ids': {
    shows: ['Store.exportJsonl'],
    run: ({ store, ids }) => drain(store.exportJsonl({ ids })),
  },
  'a long conversation, read': {
    shows: ['Conversations.get', 'Conversations.getBytes', 'Conversations.stat'],
    run: ({ store }) => store.conversations.get(LONG),
  },
  'a long conversation, written': {
    shows: ['Conversations.put'],
    run: ({ store, ids }) =>
      store.conversations.put({ ...longConversation(ids.length), id: 'another' }),
  },
  'a long conversation, appended to': {
    shows: ['Conversations.append'],
    run: ({ store, ids }) =>
      store.conversations.append(
        LONG,
        ids.flatMap((id) => conversation(`new ${id}`).messages),
      ),
  },
  'an import': {
    shows: ['Store.importJsonl', 'Conversations.putMany'],
    run: ({ store, ids }) => {
      const lines = ids.map((id) => JSON.stringify(conversation(`new ${id}`)));
      return store.importJsonl(Buffer.from(lines.join('\n')));
    },
  },
  'an import of what is there': {
    shows: ['Store.importJsonl', 'Conversations.putMany'],
    run: ({ store, ids }) => drain(store.conversations.putMany(ids.map(conversation))),
  },
  'many deletes': {
    shows: ['Conversations.deleteMany'],
    run: ({ store, some }) => store.conversations.deleteMany(some),
  },
  'many holds': {
    shows: ['Holds.place', 'Holds.release'],
    run: ({ store, some }) => store.conversations.holds.place(some),
  },
  'many segments, read': {
    shows: ['Segments.getMany'],
    run: async ({ store }) => {
      const { addresses = [] } = (await store.segments.stat(PIN)) ?? {};
      await drain(store.segments.getMany(addresses));
    },
  },
  'many segments, written': {
    shows: ['Segments.putMany'],
    run: ({ store, ids }) =>
      drain(
        store.segments.putMany(
          ids.map((id) => Buffer.from(id)),
          { pin: 'another' },
        ),
      ),
  },
  'a pin, released': {
    shows: ['Segments.release'],
    run: ({ store }) => store.segments.release(PIN),
  },
  'a blob, read': {
    shows: ['Blobs.get'],
    run: async ({ store }) => {
      const blob = await store.blobs.get('big');
      if (blob !== undefined) await drain(blob);
    },
  },
  'a blob, written': {
    shows: ['Blobs.put'],
    run: ({ store, ids }) => store.blobs.put('another', pieces(ids.length / 2 - 1)),
  },
  'an audit': { shows: ['Store.audit'], run: ({ store }) => drain(store.audit()) },
  'a deep audit': {
    shows: ['Store.audit'],
    run: ({ store }) => drain(store.audit({ deep: true, sample: 0 })),
  },
  'an audit that repairs lost sidecars': {
    shows: ['Store.audit'],
    prepare: (given) =>
      deleteObjects(given, 'segments/', (key, at) => key.endsWith(SIDECAR) && at % 3 === 0),
    run: ({ store }) => drain(store.audit({ repair: true })),
  },
  'an audit that repairs lost data': {
    shows: ['Store.audit'],
    prepare: (given) =>
      deleteObjects(given, 'segments/', (key, at) => !key.endsWith(SIDECAR) && at % 3 === 0),
    run: ({ store }) => drain(store.audit({ repair: true })),
  },
  'an audit that drops the references of lost manifests': {
    shows: ['Store.audit'],
    prepare: (given) => deleteObjects(given, 'manifests/', (_, at) => at % 4 === 0),
    run: ({ store }) => drain(store.audit({ repair: true })),
  },
  'an audit that hints at garbage': {
    shows: ['Store.audit'],
    prepare: async (given) => {
      await deleteSome(given);
      await deleteObjects(given, 'hints/', (_, at) => at % 2 === 0);
    },
    run: ({ store }) => drain(store.audit({ repair: true })),
  },
  'a collection with many hints': {
    shows: ['GarbageCollection.run'],
    prepare: deleteSome,
    run: ({ store }) => store.gc.run({ grace: '0s' }),
  },
  'a plan with many hints': {
    shows: ['GarbageCollection.plan'],
    prepare: deleteSome,
    run: ({ store }) => store.gc.plan({ grace: '0s' }),
  },
  'a collection of what has expired': {
    shows: ['GarbageCollection.run'],
    prepare: async ({ store, some }) => {
      for (const id of some) {
        await store.backend.commit([
          {
            operation: 'put',
            key: { kind: 'conversation', id: `new ${id}` },
            ifExists: 'error',
            fields: { logicalBytes: 1, expiresAt: 1 },
            entries: [],
          },
        ]);
      }
    },
    run: ({ store }) => store.gc.run({ grace: '0s' }),
  },
  'a full collection': {
    shows: ['GarbageCollection.run'],
    prepare: async (given) => {
      await deleteSome(given);
      await deleteObjects(given, 'hints/');
    },
    run: ({ store }) => store.gc.run({ grace: '0s', full: true }),
  },
  'a full collection that repairs wrong counts': {
    shows: ['GarbageCollection.run'],
    prepare: async ({ objects }) => {
      const sidecars = (await keysOf(objects, 'segments/')).filter((key) => key.endsWith(SIDECAR));
      for (const key of sidecars.filter((_, at) => at % 4 === 0)) {
        const { body = '{}' } = (await objects.get(key)) ?? {};
        const sidecar = { ...JSON.parse(String(Buffer.from(body))), refs: [], refCount: 0 };
        await objects.put(key, Buffer.from(JSON.stringify({ ...sidecar, since: 0 })), {
          kind: 'any',
        });
      }
    },
    run: ({ store }) => store.gc.run({ grace: '0s', full: true }),
  },
  'an erasure': {
    shows: ['Store.eraseConversations'],
    run: ({ store, some }) => store.eraseConversations(some),
  },
  usage: {
    shows: ['Store.usage'],
    prepare: deleteSome,
    run: ({ store }) => store.usage(),
  },
  'usage by application': {
    shows: ['Store.usageBreakdown'],
    run: ({ store }) => store.usageBreakdown({ by: 'application' }),
  },
  'a prune': {
    shows: ['Prune.run', 'Prune.plan'],
    run: ({ store }) => drain(store.prune.run({ keepLast: 20 })),
  },
  'a prune by content': {
    shows: ['Prune.run', 'Prune.plan'],
    run: ({ store }) =>
      drain(store.prune.run({ keepLast: 1, where: [{ path: ['id'], equals: LONG }] })),
  },
  'reports of the past': {
    shows: ['GarbageCollection.history'],
    prepare: async ({ store, ids }) => {
      for (const [time] of ids.entries()) await store.backend.reports.add({ time, body: '{}' });
    },
    run: ({ store }) => store.gc.history(),
  },
  'a backup': {
    shows: ['Store.backup'],
    run: ({ store }) => copyContent(store.backend, new ObjectBackend(new MemoryObjectStore()), {}),
  },
  'a restore': {
    shows: ['restoreStore'],
    prepare: async ({ objects }) => {
      await deleteAll(objects, await keysOf(objects));
      await (await open(objects)).close();
    },
    run: async ({ store, ids }) => {
      const backup = await open(await buildStore(ids.length));
      await restoreContent(backup.backend, store.backend, {});
    },
  },
};
