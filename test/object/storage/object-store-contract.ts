import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type {
  ObjectStore,
  PutCondition,
  PutResult,
} from '../../../src/backends/storage/object-store.ts';

const ANY: PutCondition = { kind: 'any' };
const ABSENT: PutCondition = { kind: 'absent' };
const NO_SUCH_TAG = '"00000000000000000000000000000000"';

export interface OpenedStore {
  readonly store: ObjectStore;
  /** Puts an `x` under each of the keys, faster than the store would. Default: the store does. */
  readonly fill?: (keys: readonly string[]) => Promise<void>;
  readonly close: () => Promise<void>;
}

export interface ContractOptions {
  /** Which keys the store accepts. Default: `any`. */
  readonly keys?: 'ascii' | 'any';
  /** Size of a body that the store writes and reads in several parts. Default: 33 MiB and a bit. */
  readonly bigBytes?: number;
}

/**
 * The executable form of `ObjectStore`: what every implementation, decorated or not, must do. The
 * store opened is empty.
 */
export function describeObjectStore(
  name: string,
  open: () => Promise<OpenedStore>,
  options: ContractOptions = {},
): void {
  describe(`object store: ${name}`, () => {
    let opened: OpenedStore;
    let store: ObjectStore;
    let tests = 0;
    /** A prefix that no other test uses. */
    const fresh = () => `t${tests++}/`;

    beforeAll(async () => {
      opened = await open();
      store = opened.store;
    }, 120_000);
    afterAll(() => opened?.close());

    test('distinguishes an absent object from an empty one', async () => {
      const key = `${fresh()}key`;
      expect(await store.get(key)).toBeUndefined();
      expect(await store.head(key)).toBeUndefined();
      stored(await store.put(key, Buffer.alloc(0), ANY));
      expect(await store.head(key)).toMatchObject({ size: 0 });
      expect((await store.get(key))?.body.length).toBe(0);
    });

    test('returns the bytes, and the same tag everywhere', async () => {
      const prefix = fresh();
      const body = Buffer.from(Array.from({ length: 512 }, (_, index) => index % 256));
      const { etag } = stored(await store.put(`${prefix}key`, body, ANY));
      const object = await store.get(`${prefix}key`);
      expect(Buffer.from(object?.body ?? [])).toEqual(body);
      expect(object).toMatchObject({ etag, size: 512 });
      expect(await store.head(`${prefix}key`)).toMatchObject({ etag, size: 512 });
      expect((await store.list(prefix)).objects).toMatchObject([
        { key: `${prefix}key`, etag, size: 512 },
      ]);
    });

    test('reports times by one clock', async () => {
      const prefix = fresh();
      const { serverTime } = stored(await store.put(`${prefix}key`, Buffer.from('1'), ANY));
      const head = await store.head(`${prefix}key`);
      const { objects, serverTime: listedAt } = await store.list(prefix);
      // Times of some services are whole seconds.
      expect(Math.abs((head?.lastModified ?? 0) - serverTime)).toBeLessThan(2000);
      expect(Math.abs((objects[0]?.lastModified ?? 0) - (head?.lastModified ?? 0))).toBeLessThan(
        1000,
      );
      expect(head?.serverTime).toBeGreaterThan(serverTime - 1000);
      expect(listedAt).toBeGreaterThan(serverTime - 1000);
    });

    test('creates only what is absent', async () => {
      const key = `${fresh()}key`;
      stored(await store.put(key, Buffer.from('first'), ABSENT));
      expect(await store.put(key, Buffer.from('second'), ABSENT)).toEqual({ outcome: 'refused' });
      expect(await read(store, key)).toBe('first');
      await store.delete([key]);
      stored(await store.put(key, Buffer.from('third'), ABSENT));
    });

    test('replaces only the object with the tag', async () => {
      const key = `${fresh()}key`;
      const first = stored(await store.put(key, Buffer.from('first'), ABSENT));
      const second = stored(
        await store.put(key, Buffer.from('second'), { kind: 'match', etag: first.etag }),
      );
      expect(second.etag).not.toBe(first.etag);
      expect(
        await store.put(key, Buffer.from('third'), { kind: 'match', etag: first.etag }),
      ).toEqual({
        outcome: 'refused',
      });
      expect(
        await store.put(key, Buffer.from('third'), { kind: 'match', etag: NO_SUCH_TAG }),
      ).toEqual({
        outcome: 'refused',
      });
      expect(await read(store, key)).toBe('second');
    });

    test('replaces nothing if there is no object', async () => {
      const key = `${fresh()}key`;
      expect(await store.put(key, Buffer.from('x'), { kind: 'match', etag: NO_SUCH_TAG })).toEqual({
        outcome: 'refused',
      });
      const { etag } = stored(await store.put(key, Buffer.from('x'), ANY));
      await store.delete([key]);
      expect(await store.put(key, Buffer.from('y'), { kind: 'match', etag })).toEqual({
        outcome: 'refused',
      });
      expect(await store.get(key)).toBeUndefined();
    });

    test('lets one of many racing creators win, and stores its body', async () => {
      const prefix = fresh();
      for (let race = 0; race < 3; race++) {
        const results = await Promise.all(
          Array.from({ length: 8 }, (_, writer) =>
            store.put(`${prefix}${race}`, Buffer.from(`w${writer}`), ABSENT),
          ),
        );
        const winners = results.flatMap((result, writer) =>
          result.outcome === 'stored' ? [writer] : [],
        );
        expect(winners).toHaveLength(1);
        expect(await read(store, `${prefix}${race}`)).toBe(`w${winners[0]}`);
      }
    });

    test('loses none of the increments of racing writers', async () => {
      const key = `${fresh()}counter`;
      stored(await store.put(key, Buffer.from('0'), ABSENT));
      const increment = async () => {
        for (;;) {
          const seen = await store.get(key);
          const next = Buffer.from(String(Number(Buffer.from(seen?.body ?? []).toString()) + 1));
          const result = await store.put(key, next, { kind: 'match', etag: seen?.etag ?? '' });
          if (result.outcome === 'stored') return;
        }
      };
      const writer = async () => {
        for (let times = 0; times < 3; times++) await increment();
      };
      await Promise.all(Array.from({ length: 5 }, writer));
      expect(await read(store, key)).toBe('15');
    });

    test('deletes what exists, skips what does not, and may be repeated', async () => {
      const prefix = fresh();
      const keys = ['a', 'b', 'c'].map((name) => prefix + name);
      for (const key of keys) stored(await store.put(key, Buffer.from('x'), ANY));
      await store.delete([keys[0] as string, `${prefix}absent`, keys[2] as string]);
      await store.delete([keys[0] as string]);
      await store.delete([]);
      expect(await keysBelow(store, prefix)).toEqual([keys[1]]);
    });

    test('lists in the order of bytes, a page at a time, past a thousand', async () => {
      const prefix = fresh();
      const names = Array.from(
        { length: 1003 },
        (_, index) => `${prefix}${index.toString(36)}${'-_/.'[index % 4]}`,
      );
      if (opened.fill) await opened.fill(names);
      else await inTurns(names, (key) => store.put(key, Buffer.from('x'), ANY));
      const inOrder = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      const first = await store.list(prefix);
      expect(first.isTruncated).toBe(true);
      // At most a thousand: some services return fewer.
      expect(first.objects.length).toBeLessThanOrEqual(1000);
      expect(first.objects.map(({ key }) => key)).toEqual(inOrder.slice(0, first.objects.length));
      expect(await keysBelow(store, prefix)).toEqual(inOrder);
      const some = await store.list(prefix, { after: inOrder[499] as string, limit: 7 });
      expect(some.objects.map(({ key }) => key)).toEqual(inOrder.slice(500, 507));
      expect(some.isTruncated).toBe(true);
      expect(await store.list(prefix, { after: inOrder.at(-1) as string })).toMatchObject({
        objects: [],
        isTruncated: false,
      });
      // More than one request may delete.
      await store.delete(inOrder.slice(0, 1000));
      expect(await keysBelow(store, prefix)).toEqual(inOrder.slice(1000));
    });

    test('lists from a bound that is not a key, and only below the prefix', async () => {
      const prefix = fresh();
      for (const name of ['a', 'b', 'ba', 'c'])
        stored(await store.put(`${prefix}${name}`, Buffer.from('x'), ANY));
      expect(
        (await store.list(prefix, { after: `${prefix}aa` })).objects.map(({ key }) => key),
      ).toEqual(['b', 'ba', 'c'].map((name) => prefix + name));
      expect((await store.list(`${prefix}b`)).objects.map(({ key }) => key)).toEqual(
        ['b', 'ba'].map((name) => prefix + name),
      );
      expect((await store.list(`${prefix}z`)).objects).toEqual([]);
    });

    test('accepts odd keys', async () => {
      const prefix = fresh();
      const odd = [
        'a b',
        'a+b',
        'a%20b',
        '100%',
        'q?x=1&y',
        'h#s',
        "it's",
        '"quoted"',
        '<x>&amp;',
        '=(1)!*~',
        'a/b/c',
        'k;,:@$',
      ];
      if (options.keys !== 'ascii') odd.push('é', '日本', 'e\u0301', '\u{1f600}', '\uff5e');
      const keys = odd.map((name) => prefix + name);
      for (const key of keys) stored(await store.put(key, Buffer.from(key), ABSENT));
      for (const key of keys) expect(await read(store, key)).toBe(key);
      expect(await keysBelow(store, prefix)).toEqual(
        keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
      );
      await store.delete(keys);
      expect(await keysBelow(store, prefix)).toEqual([]);
    });

    test('refuses what no service takes', async () => {
      const prefix = fresh();
      const refusal = { code: 'INVALID_ARGUMENT' };
      const tooMany = Array.from({ length: 1001 }, (_, at) => `${prefix}${at}`);
      await expect(store.delete(tooMany)).rejects.toMatchObject(refusal);
      await expect(
        store.put(prefix.padEnd(1025, 'k'), Buffer.from('x'), ANY),
      ).rejects.toMatchObject(refusal);
      for (const limit of [0, 1001, 1.5]) {
        await expect(store.list(prefix, { limit })).rejects.toMatchObject(refusal);
      }
      expect(await keysBelow(store, prefix)).toEqual([]);
    });

    test('keeps big bodies whole, under conditions', async () => {
      const key = `${fresh()}big`;
      const body = randomBytes(options.bigBytes ?? 33 * 1024 * 1024 + 5);
      const { etag } = stored(await store.put(key, body, ABSENT));
      expect(await store.put(key, body, ABSENT)).toEqual({ outcome: 'refused' });
      expect(await store.put(key, body, { kind: 'match', etag: NO_SUCH_TAG })).toEqual({
        outcome: 'refused',
      });
      const object = await store.get(key);
      expect(object).toMatchObject({ etag, size: body.length });
      expect(Buffer.compare(Buffer.from(object?.body ?? []), body)).toBe(0);
      body[0] = (body[0] as number) ^ 1;
      expect(stored(await store.put(key, body, { kind: 'match', etag })).etag).not.toBe(etag);
      await store.delete([key]);
      expect(await store.put(key, body, { kind: 'match', etag })).toEqual({ outcome: 'refused' });
    });

    test('does nothing once its signal has fired', async () => {
      const prefix = fresh();
      const aborted = { signal: AbortSignal.abort(new Error('enough')) };
      const abortion = { code: 'ABORTED', cause: { message: 'enough' } };
      await expect(store.put(`${prefix}key`, Buffer.from('x'), ANY, aborted)).rejects.toMatchObject(
        abortion,
      );
      await expect(store.get(`${prefix}key`, aborted)).rejects.toMatchObject(abortion);
      await expect(store.head(`${prefix}key`, aborted)).rejects.toMatchObject(abortion);
      await expect(store.list(prefix, aborted)).rejects.toMatchObject(abortion);
      await expect(store.delete([`${prefix}key`], aborted)).rejects.toMatchObject(abortion);
      expect(await keysBelow(store, prefix)).toEqual([]);
    });

    test('behaves like a map over any sequence of operations', async () => {
      const operation = fc.record({
        kind: fc.constantFrom(
          'create' as const,
          'swap' as const,
          'set' as const,
          'delete' as const,
          'read' as const,
        ),
        name: fc.constantFrom('a', 'b', 'b/c'),
        body: fc.uint8Array({ maxLength: 40 }),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(operation, { maxLength: 20 }), async (operations) => {
          const prefix = fresh();
          const map = new Map<string, { body: Buffer; etag: string }>();
          for (const { kind, name, body } of operations) {
            const key = prefix + name;
            const expected = map.get(key);
            if (kind === 'delete') {
              await store.delete([key]);
              map.delete(key);
            } else if (kind === 'read') {
              const seen = await store.get(key);
              expect(seen && Buffer.from(seen.body)).toEqual(expected?.body);
            } else {
              const conditions = {
                create: ABSENT,
                swap: { kind: 'match' as const, etag: expected?.etag ?? NO_SUCH_TAG },
                set: ANY,
              };
              const result = await store.put(key, body, conditions[kind]);
              const holds = kind === 'set' || (kind === 'create') === (expected === undefined);
              expect(result.outcome).toBe(holds ? 'stored' : 'refused');
              if (result.outcome === 'stored')
                map.set(key, { body: Buffer.from(body), etag: result.etag });
            }
          }
          expect(await keysBelow(store, prefix)).toEqual([...map.keys()].sort());
        }),
        { numRuns: 15 },
      );
    });
  });
}

function stored(result: PutResult): Extract<PutResult, { outcome: 'stored' }> {
  expect(result).toMatchObject({ outcome: 'stored' });
  return result as Extract<PutResult, { outcome: 'stored' }>;
}

async function read(store: ObjectStore, key: string): Promise<string | undefined> {
  const object = await store.get(key);
  return object && Buffer.from(object.body).toString();
}

async function keysBelow(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for (;;) {
    const last = keys.at(-1);
    const page = await store.list(prefix, last === undefined ? {} : { after: last });
    keys.push(...page.objects.map(({ key }) => key));
    if (!page.isTruncated) return keys;
  }
}

async function inTurns<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<unknown>,
): Promise<void> {
  const left = [...items];
  const worker = async () => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await work(item);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}
