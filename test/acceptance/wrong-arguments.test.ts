import { describe, expect, test } from 'vitest';
import {
  addressOf,
  isAddress,
  isVarveError,
  openStore,
  parseAddress,
  parseWhere,
  restoreStore,
  type Store,
} from '../../src/index.ts';
import { describeEverywhere } from './every-place.ts';
import { collect } from './place.ts';

const thrown = () => {
  throw new TypeError('a trap of the caller');
};
const hostile = new Proxy(Object.create(null), {
  get: thrown,
  has: thrown,
  ownKeys: thrown,
  getPrototypeOf: thrown,
  getOwnPropertyDescriptor: thrown,
});
const { proxy: revoked, revoke } = Proxy.revocable({}, {});
revoke();

/** What a program may hand over by mistake, or to see what happens. */
const VALUES: Record<string, unknown> = {
  undefined: undefined,
  null: null,
  'a number': 5,
  NaN: Number.NaN,
  true: true,
  'a bigint': 5n,
  'a symbol': Symbol('s'),
  'a string': 'ab',
  'an empty string': '',
  'a lone surrogate': '\ud800',
  'a long string': 'x'.repeat(1_000_000),
  'an object': {},
  'a bare object': Object.create(null),
  'an instance': new (class Message {
    role = 'user';
  })(),
  'an array': [],
  'an array of anything': [undefined, null, 5, Symbol('s'), {}, [], hostile],
  'an array of a getter': Object.defineProperty([], 0, { get: thrown, enumerable: true }),
  'a huge array': new Array(2 ** 32 - 1),
  'a set': new Set(),
  'a set of numbers': new Set([1]),
  'a map': new Map(),
  get 'an iterator'() {
    return [5][Symbol.iterator]();
  },
  'an iterable without an iterator': { [Symbol.iterator]: () => 5, [Symbol.asyncIterator]: 5 },
  'an iterable that throws': { [Symbol.iterator]: thrown },
  'a function': () => 5,
  'a promise': Promise.resolve('ab'),
  'a date': new Date(0),
  'a URL': new URL('https://a.b/'),
  'an array buffer': new ArrayBuffer(4),
  'other integers': new Uint16Array(4),
  'bytes behind a proxy': new Proxy(Buffer.from('x'), {}),
  'bytes of a wrong length': Object.defineProperty(Buffer.from('four'), 'length', { value: 2 }),
  'a hostile proxy': hostile,
  'a revoked proxy': revoked,
};

type Call = (store: Store, value: never) => unknown;

const EMPTY = ['an array', 'a set', 'a map'];
const ID = ['a string'];

/** Every method with its positional arguments, and which of the values each takes. */
const CALLS: [name: string, call: Call, accepted: readonly string[]][] = [
  [
    'conversations.put',
    ({ conversations }, it) => conversations.put(it),
    ['an object', 'a bare object'],
  ],
  ['conversations.putMany', ({ conversations }, it) => stopped(conversations.putMany(it)), EMPTY],
  ['conversations.get', ({ conversations }, it) => conversations.get(it), ID],
  ['conversations.getBytes', ({ conversations }, it) => conversations.getBytes(it), ID],
  ['conversations.stat', ({ conversations }, it) => conversations.stat(it), ID],
  ['conversations.append, id', ({ conversations }, it) => conversations.append(it, [1]), []],
  ['conversations.append', ({ conversations }, it) => conversations.append('c', it), ['an array']],
  ['conversations.delete', ({ conversations }, it) => conversations.delete(it), ID],
  ['conversations.deleteMany', ({ conversations }, it) => conversations.deleteMany(it), EMPTY],
  [
    'conversations.deleteMany of',
    ({ conversations }, it) => conversations.deleteMany(['ab', it]),
    ID,
  ],
  ['holds.place', ({ conversations }, it) => conversations.holds.place(it), [...EMPTY, ...ID]],
  ['holds.place of', ({ conversations }, it) => conversations.holds.place(['ab', it]), ID],
  ['holds.release', ({ conversations }, it) => conversations.holds.release(it), [...EMPTY, ...ID]],
  ['segments.put', ({ segments }, it) => segments.put(it), []],
  ['segments.putTokens', ({ segments }, it) => segments.putTokens(it), ['an array']],
  ['segments.putTokens of', ({ segments }, it) => segments.putTokens([1, it]), ['a number']],
  ['segments.putMany', ({ segments }, it) => collect(segments.putMany(it)), EMPTY],
  ['segments.putMany of', ({ segments }, it) => collect(segments.putMany([it])), []],
  ['segments.get', ({ segments }, it) => segments.get(it), []],
  ['segments.getTokens', ({ segments }, it) => segments.getTokens(it), []],
  ['segments.getMany', ({ segments }, it) => collect(segments.getMany(it)), EMPTY],
  ['segments.getMany of', ({ segments }, it) => collect(segments.getMany([it])), []],
  ['segments.has', ({ segments }, it) => segments.has(it), []],
  ['segments.release', ({ segments }, it) => segments.release(it), ID],
  ['segments.stat', ({ segments }, it) => segments.stat(it), ID],
  ['blobs.put, name', ({ blobs }, it) => blobs.put(it, Buffer.from('x')), ID],
  ['blobs.put', ({ blobs }, it) => blobs.put('b', it, { ifExists: 'replace' }), EMPTY],
  ['blobs.put of', ({ blobs }, it) => blobs.put('b', [it]), []],
  ['blobs.get', ({ blobs }, it) => blobs.get(it), ID],
  ['blobs.stat', ({ blobs }, it) => blobs.stat(it), ID],
  ['blobs.delete', ({ blobs }, it) => blobs.delete(it), ID],
  ['importJsonl', (store, it) => store.importJsonl(it), EMPTY],
  ['importJsonl of', (store, it) => store.importJsonl([it]), []],
  ['exportJsonl of', (store, it) => collect(store.exportJsonl({ ids: [it] })), []],
  ['eraseConversations', (store, it) => store.eraseConversations(it), EMPTY],
  ['eraseConversations of', (store, it) => store.eraseConversations([it]), ID],
];

/** What the caller's own iterator throws comes back to it as it is. */
const OWN = 'an error of the caller';

/** Where a value is not wrong in itself. */
const OTHER: Record<string, string> = {
  'conversations.putMany, an array of a getter': OWN,
  'segments.putMany, an array of a getter': OWN,
  'segments.getMany, an array of a getter': OWN,
  'blobs.put, an array of a getter': OWN,
  'importJsonl, an array of a getter': OWN,
  'conversations.append, id, a string': 'NOT_FOUND',
  'exportJsonl of, a string': 'NOT_FOUND',
  'exportJsonl of, a promise': 'NOT_FOUND',
  'segments.putTokens, a huge array': 'TOO_LARGE',
};

/** Options that are names: they stand where a positional argument would. */
const NAMES: [name: string, call: Call][] = [
  ['the id of conversations.put', ({ conversations }, id) => conversations.put({}, { id })],
  [
    'the idempotency key of an append',
    ({ conversations }, it) => conversations.append('c', [1], { idempotencyKey: it }),
  ],
  [
    'the reason of a hold',
    ({ conversations }, reason) => conversations.holds.place('c', { reason }),
  ],
  [
    'the application of a list',
    ({ conversations }, it) => collect(conversations.list({ application: it })),
  ],
  ['the model of a list', ({ conversations }, model) => collect(conversations.list({ model }))],
  ['a pin', ({ segments }, pin) => segments.put(Buffer.from('x'), { pin })],
  [
    'a pin of putMany',
    ({ segments }, pin) => collect(segments.putMany([Buffer.from('x')], { pin })),
  ],
  ['an owner', ({ segments }, owner) => segments.put(Buffer.from('x'), { owner })],
  ['an owner of pins', ({ segments }, owner) => collect(segments.pins({ owner }))],
  [
    'the application of a blob',
    ({ blobs }, it) => blobs.put('b', Buffer.from('x'), { application: it }),
  ],
  ['a content type', ({ blobs }, contentType) => blobs.put('b', Buffer.from('x'), { contentType })],
  ['the application of blobs', ({ blobs }, it) => collect(blobs.list({ application: it }))],
];

const wrongNames = Object.entries(VALUES).filter(
  ([name]) => !['undefined', 'a string', 'an empty string'].includes(name),
);

/** What went wrong: `undefined`, or the code of an error of Varve's, or any other error. */
async function failureOf(call: () => unknown): Promise<string | undefined> {
  try {
    await call();
    return undefined;
  } catch (error) {
    if (error instanceof TypeError && error.message === 'a trap of the caller') return OWN;
    if (!isVarveError(error))
      return `not a VarveError: ${error instanceof Error ? error.stack : typeof error}`;
    return error.code;
  }
}

/** The first receipt that is a failure is thrown. */
async function stopped(receipts: AsyncIterable<{ readonly status: string }>): Promise<void> {
  for await (const receipt of receipts) if ('error' in receipt) throw receipt.error;
}

async function everything(store: Store): Promise<unknown> {
  const { conversations, segments, blobs, backend } = store;
  const { manifests, segments: stored } = await backend.usage();
  return [
    await collect(conversations.list()),
    await collect(segments.pins()),
    await collect(blobs.list()),
    manifests,
    stored,
  ];
}

describeEverywhere((open, isSlow) => {
  // Behind S3 are the same objects as in memory.
  test.skipIf(isSlow)(
    'of a wrong type are INVALID_ARGUMENT wherever they are given, and nothing is stored',
    async () => {
      const store = await open();
      await store.conversations.put({ id: 'c', messages: [] });
      await store.blobs.put('b', Buffer.from('before'));
      for (const [name, call, accepted] of CALLS) {
        const before = await everything(store);
        for (const [what, value] of Object.entries(VALUES)) {
          if (accepted.includes(what)) continue;
          const code = await failureOf(() => call(store, value as never));
          expect([name, what, code]).toEqual([
            name,
            what,
            OTHER[`${name}, ${what}`] ?? 'INVALID_ARGUMENT',
          ]);
        }
        expect([name, await everything(store)]).toEqual([name, before]);
        for (const what of accepted) {
          const code = await failureOf(() => call(store, VALUES[what] as never));
          expect([name, what, code]).toEqual([name, what, undefined]);
        }
      }
      expect(await collect(store.audit({ deep: true }))).toEqual([]);
    },
  );

  test('that are not folders are refused by a backup', async () => {
    const store = await open();
    for (const [what, value] of Object.entries(VALUES)) {
      if (what === 'a string') continue;
      const code = await failureOf(() => store.backup(value as never));
      expect([what, code]).toEqual([what, what === 'a long string' ? 'IO' : 'INVALID_ARGUMENT']);
    }
  });

  test('that are names are well-formed strings, wherever they are given', async () => {
    const store = await open();
    await store.conversations.put({ id: 'c', messages: [] });
    const before = await everything(store);
    for (const [name, call] of NAMES) {
      for (const [what, value] of wrongNames) {
        const code = await failureOf(() => call(store, value as never));
        expect([name, what, code]).toEqual([name, what, 'INVALID_ARGUMENT']);
      }
    }
    expect(await everything(store)).toEqual(before);
  });
});

describe('of functions', () => {
  test.each<[string, (value: never) => unknown]>([
    ['openStore', (it) => openStore(it)],
    ['restoreStore, backup', (it) => restoreStore(it, 'memory:')],
    ['addressOf', (it) => addressOf(it)],
    ['parseAddress', (it) => parseAddress(it)],
    ['parseWhere', (it) => parseWhere(it)],
  ])('%s are refused', async (name, call) => {
    const isPath = ['openStore', 'restoreStore, backup'].includes(name);
    for (const [what, value] of Object.entries(VALUES)) {
      if (isPath && ['a string', 'a long string'].includes(what)) continue;
      const code = await failureOf(() => call(value as never));
      expect([what, code]).toEqual([what, 'INVALID_ARGUMENT']);
    }
  });

  test('restoreStore says that there is no backup, or that it cannot be restored there', async () => {
    for (const [what, value] of Object.entries(VALUES)) {
      const code = await failureOf(() => restoreStore('/nonexistent', value as never));
      expect([what, ['INVALID_ARGUMENT', 'NOT_FOUND'].includes(code ?? '')]).toEqual([what, true]);
    }
  });

  test('isAddress and isVarveError take anything', () => {
    for (const value of Object.values(VALUES)) {
      expect(isAddress(value as never)).toBe(false);
      expect(isVarveError(value)).toBe(false);
    }
  });
});
