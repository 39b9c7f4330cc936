import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { MAX_SEGMENT_BYTES } from '../../src/backends/contract/manifests.ts';
import { Segments } from '../../src/cas/segments.ts';
import { type Address, addressOf } from '../../src/core/address.ts';
import { auditOf, commit, entry, put } from '../conformance/builders.ts';
import { ModelBackend } from '../conformance/model-backend.ts';
import { ModelStore } from '../conformance/model-store.ts';
import { randomBytes } from './random-bytes.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

let backend: ModelBackend;
let segments: Segments;

beforeEach(() => {
  backend = new ModelBackend();
  segments = new Segments(backend);
});

const bytes = (text: string): Uint8Array => Buffer.from(text);

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

describe('put and get', () => {
  test('store bytes under their SHA-256', async () => {
    const receipt = await segments.put(bytes('hello'));
    expect(receipt.address).toBe(createHash('sha256').update('hello').digest('hex'));
    expect(receipt.created).toBe(true);
    expect(await segments.get(receipt.address)).toEqual(bytes('hello'));
    expect(await segments.has(receipt.address)).toBe(true);
  });

  test('give back any bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (content) => {
        const { address } = await segments.put(content);
        expect(Buffer.compare((await segments.get(address)) ?? bytes('nothing'), content)).toBe(0);
      }),
    );
  });

  test('store the same bytes once, under a pin for each put', async () => {
    const first = await segments.put(bytes('hello'));
    const second = await segments.put(bytes('hello'));
    expect(second).toMatchObject({ address: first.address, created: false });
    expect(second.pin).not.toBe(first.pin);
    expect((await backend.usage()).segments).toBe(1);
  });

  test('know nothing of what was not put', async () => {
    const unknown = addressOf(bytes('never'));
    expect(await segments.get(unknown)).toBeUndefined();
    expect(await segments.getTokens(unknown)).toBeUndefined();
    expect(await segments.has(unknown)).toBe(false);
  });

  test('take segments of up to 4 MiB, and point to blobs above', async () => {
    const { address } = await segments.put(randomBytes(1, MAX_SEGMENT_BYTES));
    expect((await segments.get(address))?.length).toBe(MAX_SEGMENT_BYTES);
    await expect(segments.put(new Uint8Array(MAX_SEGMENT_BYTES + 1))).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: expect.stringContaining('blobs'),
    });
  });

  test('refuse what is not bytes', async () => {
    for (const wrong of ['text', [1, 2], null, new ArrayBuffer(4)]) {
      await expect(segments.put(wrong as unknown as Uint8Array)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
    }
  });

  test('report damage with the address', async () => {
    const { address } = await segments.put(bytes('hello'));
    backend.damage(address);
    const error = { code: 'CORRUPT', message: expect.stringContaining(address) };
    await expect(segments.get(address)).rejects.toMatchObject(error);
    await expect(all(segments.getMany([address]))).rejects.toMatchObject(error);
  });
});

describe('tokens', () => {
  test('are addressed by their little-endian uint32 bytes', async () => {
    const { address } = await segments.putTokens([1, 2, 2 ** 32 - 1]);
    expect(address).toBe(
      createHash('sha256').update(Buffer.from('0100000002000000ffffffff', 'hex')).digest('hex'),
    );
    expect(await segments.getTokens(address)).toEqual(Uint32Array.of(1, 2, 2 ** 32 - 1));
    const [locator] = await backend.find([address]);
    expect((await backend.describe(locator === undefined ? [] : [locator]))[0]?.encoding).toBe(
      'tokens',
    );
  });

  test('come back as they were, from arrays of either sort', async () => {
    const ids = fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { maxLength: 300 });
    await fc.assert(
      fc.asyncProperty(ids, async (given) => {
        const plain = await segments.putTokens(given);
        const typed = await segments.putTokens(Uint32Array.from(given));
        expect(typed.address).toBe(plain.address);
        expect(Array.from((await segments.getTokens(plain.address)) ?? [-1])).toEqual(given);
      }),
    );
  });

  test.each([[[1.5]], [[-1]], [[2 ** 32]], [[Number.NaN]], [[1, '2']], ['12'], [null]])(
    'refuse %j',
    async (ids) => {
      await expect(segments.putTokens(ids as number[])).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
    },
  );

  test('refuse to be read from bytes that are not ids', async () => {
    const { address } = await segments.put(bytes('hello'));
    await expect(segments.getTokens(address)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('beyond 4 MiB are too many', async () => {
    const ids = new Uint32Array(MAX_SEGMENT_BYTES / 4 + 1);
    await expect(segments.putTokens(ids)).rejects.toMatchObject({ code: 'TOO_LARGE' });
    expect((await segments.putTokens(ids.subarray(1))).created).toBe(true);
  });
});

describe('pins', () => {
  test('hold several segments, each once', async () => {
    const options = { pin: 'release 1' };
    const first = await segments.put(bytes('a'), options);
    const second = await segments.put(bytes('bb'), options);
    const before = await segments.stat('release 1');
    await segments.put(bytes('a'), options);
    await segments.put(bytes('bb'), options);
    const after = await segments.stat('release 1');
    expect(after).toEqual(before);
    expect(after).toMatchObject({
      pin: 'release 1',
      segments: 2,
      bytes: 3,
      addresses: [first.address, second.address],
    });
  });

  test('hold a segment once however often it is put at the same time', async () => {
    await Promise.all(
      Array.from({ length: 30 }, (_, i) => segments.put(bytes(`${i % 3}`), { pin: 'p' })),
    );
    expect((await segments.stat('p'))?.segments).toBe(3);
  });

  test('that were generated take more segments, too', async () => {
    const { pin } = await segments.put(bytes('a'));
    await segments.put(bytes('a'), { pin });
    await segments.put(bytes('b'), { pin });
    expect((await segments.stat(pin))?.segments).toBe(2);
  });

  test('keep a segment until the last of them is released', async () => {
    const { address, pin } = await segments.put(bytes('hello'));
    await segments.put(bytes('hello'), { pin: 'mine' });
    expect(await segments.release(pin)).toBe(true);
    await backend.collect({ graceMs: 0 });
    expect(await segments.has(address)).toBe(true);
    expect(await segments.release('mine')).toBe(true);
    expect(await segments.has(address)).toBe(false);
    expect(await segments.get(address)).toEqual(bytes('hello'));
    await backend.collect({ graceMs: 0 });
    expect(await segments.get(address)).toBeUndefined();
    expect((await auditOf(backend)).findings).toEqual([]);
  });

  test('may be released again, and put again', async () => {
    const { address } = await segments.put(bytes('hello'), { pin: 'p' });
    expect(await segments.release('p')).toBe(true);
    expect(await segments.release('p')).toBe(false);
    expect(await segments.release('never')).toBe(false);
    await backend.collect({ graceMs: 0 });
    expect((await segments.put(bytes('hello'), { pin: 'p' })).created).toBe(true);
    expect(await segments.has(address)).toBe(true);
  });

  test('share segments with conversations', async () => {
    await commit(backend, put('c', [entry('1', 'hello')]));
    const { address, pin, created } = await segments.put(bytes('hello'));
    expect(created).toBe(false);
    await segments.release(pin);
    expect(await segments.has(address)).toBe(true);
  });

  test('have an owner and an expiry, which putting again replaces', async () => {
    const expiresAt = Date.now() + DAY_MS;
    await segments.put(bytes('a'), { pin: 'p', owner: 'desk', expiresAt });
    expect(await segments.stat('p')).toMatchObject({ owner: 'desk', expiresAt });
    await segments.put(bytes('a'), { pin: 'p', expiresAt: expiresAt + 5 });
    expect(await segments.stat('p')).toMatchObject({
      owner: 'desk',
      expiresAt: expiresAt + 5,
      segments: 1,
    });
    await segments.put(bytes('b'), { pin: 'p', owner: 'other', expiresAt: expiresAt + 9 });
    expect(await segments.stat('p')).toMatchObject({
      owner: 'other',
      expiresAt: expiresAt + 9,
      segments: 2,
    });
    await segments.put(bytes('b'), { pin: 'p' });
    expect(await segments.stat('p')).toMatchObject({
      owner: 'other',
      expiresAt: expiresAt + 9,
      segments: 2,
    });
  });

  test('let go when they expire', async () => {
    const { address } = await segments.put(bytes('a'), { pin: 'p', expiresAt: 1 });
    expect(await segments.has(address)).toBe(true);
    await backend.collect({ graceMs: 0 });
    expect(await segments.stat('p')).toBeUndefined();
    expect(await segments.has(address)).toBe(false);
  });

  test('are listed, by owner if wanted', async () => {
    await segments.put(bytes('a'), { pin: 'p1', owner: 'desk' });
    await segments.put(bytes('a'), { pin: 'p2' });
    await segments.put(bytes('a'), { pin: 'p3', owner: 'desk' });
    expect((await all(segments.pins())).map(({ pin }) => pin)).toEqual(['p1', 'p2', 'p3']);
    const owned = await all(segments.pins({ owner: 'desk' }));
    expect(owned.map(({ pin }) => pin)).toEqual(['p1', 'p3']);
    expect(owned[0]).toEqual({
      pin: 'p1',
      owner: 'desk',
      createdAt: expect.any(Number),
      updatedAt: expect.any(Number),
      revision: expect.any(String),
      segments: 1,
      bytes: 1,
    });
  });

  test('with impossible names are refused', async () => {
    for (const pin of ['', 'x'.repeat(513), '\ud800']) {
      await expect(segments.put(bytes('a'), { pin })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
    }
    expect((await backend.usage()).segments).toBe(0);
  });

  test('outlive being released by others in the middle of a put', async () => {
    // Each commit of this backend is two, as where a batch is not one transaction.
    class Interrupted extends ModelBackend {
      interruptions = 3;
      override async commit(...[writes, options]: Parameters<ModelBackend['commit']>) {
        const outcomes = [];
        for (const write of writes) {
          if (write.operation === 'append' && this.interruptions-- > 0) {
            await super.commit([{ operation: 'delete', key: write.key }]);
          }
          outcomes.push(...(await super.commit([write], options)));
        }
        return outcomes;
      }
    }
    const interrupted = new Segments(new Interrupted());
    const { address } = await interrupted.put(bytes('a'), { pin: 'p' });
    expect(await interrupted.has(address)).toBe(true);
    expect((await interrupted.stat('p'))?.addresses).toEqual([address]);
  });
});

describe('putMany and getMany', () => {
  test('store and return thousands, in order, under one pin', async () => {
    const contents = Array.from({ length: 2000 }, (_, i) => bytes(`text ${i % 1500}`));
    const receipts = await all(segments.putMany(contents));
    expect(receipts.map(({ address }) => address)).toEqual(contents.map(addressOf));
    expect(receipts.filter(({ created }) => created)).toHaveLength(1500);
    const [pin, ...others] = new Set(receipts.map((receipt) => receipt.pin));
    expect(others).toEqual([]);
    expect((await segments.stat(pin ?? ''))?.segments).toBe(1500);
    const results = await all(segments.getMany(receipts.map(({ address }) => address)));
    expect(results.map(({ address }) => address)).toEqual(contents.map(addressOf));
    expect(results.map((result) => Buffer.from(result.bytes ?? []).toString())).toEqual(
      contents.map((content) => Buffer.from(content).toString()),
    );
  });

  test('take async sources that use their memory again', async () => {
    const memory = new Uint8Array(8);
    async function* source() {
      for (let i = 0; i < 600; i++) yield memory.fill(i % 251);
    }
    const receipts = await all(segments.putMany(source(), { pin: 'p', owner: 'desk' }));
    expect(new Set(receipts.map(({ address }) => address)).size).toBe(251);
    expect(await segments.stat('p')).toMatchObject({ segments: 251, owner: 'desk' });
  });

  test('bound what one commit and one fetch carry', async () => {
    let largestFetch = 0;
    let largestCommit = 0;
    class Measured extends ModelBackend {
      override async fetch(...args: Parameters<ModelBackend['fetch']>) {
        const fetched = await super.fetch(...args);
        largestFetch = Math.max(
          largestFetch,
          fetched.reduce((sum, { length }) => sum + length, 0),
        );
        return fetched;
      }
      override async commit(...[writes, options]: Parameters<ModelBackend['commit']>) {
        const size = writes.reduce(
          (sum, write) => sum + ('logicalBytes' in write ? write.logicalBytes : 0),
          0,
        );
        largestCommit = Math.max(largestCommit, size);
        return super.commit(writes, options);
      }
    }
    const measured = new Segments(new Measured());
    const contents = Array.from({ length: 40 }, (_, i) => randomBytes(i, 1_000_000));
    const receipts = await all(measured.putMany(contents));
    const results = await all(measured.getMany(receipts.map(({ address }) => address)));
    expect(results.every((result, i) => contents[i]?.equals(result.bytes ?? bytes('')))).toBe(true);
    expect(largestCommit).toBeLessThanOrEqual(9_000_000);
    expect(largestFetch).toBeLessThanOrEqual(9_000_000);
  });

  test('of nothing do nothing', async () => {
    expect(await all(segments.putMany([]))).toEqual([]);
    expect(await all(segments.getMany([]))).toEqual([]);
    expect(await all(segments.pins())).toEqual([]);
  });

  test('answer for what is not stored in its place', async () => {
    const { address } = await segments.put(bytes('a'));
    const unknown = addressOf(bytes('never'));
    const results = await all(segments.getMany([unknown, address, unknown]));
    expect(results).toEqual([
      { address: unknown, bytes: undefined },
      { address, bytes: bytes('a') },
      { address: unknown, bytes: undefined },
    ]);
  });

  test('answer for what is collected in the middle of it', async () => {
    const { address: kept } = await segments.put(bytes('kept'));
    const { address: gone, pin } = await segments.put(bytes('gone'));
    for (const verb of ['describe', 'fetch'] as const) {
      await segments.put(bytes('gone'), { pin });
      const collecting = new Proxy(backend, {
        get(target, property) {
          const value = Reflect.get(target, property);
          if (property !== verb) return typeof value === 'function' ? value.bind(target) : value;
          return async (...args: Parameters<typeof value>) => {
            await segments.release(pin);
            await backend.collect({ graceMs: 0 });
            return value.apply(target, args);
          };
        },
      });
      const racing = new Segments(collecting);
      const results = await all(racing.getMany([kept, gone, kept]));
      expect(results.map((result) => result.bytes && Buffer.from(result.bytes).toString())).toEqual(
        ['kept', undefined, 'kept'],
      );
      await segments.put(bytes('gone'), { pin });
      expect([await racing.get(gone), await racing.has(gone)]).toEqual([
        verb === 'fetch' ? undefined : bytes('gone'),
        false,
      ]);
    }
  });

  test('keep what was acknowledged when the source throws', async () => {
    async function* source() {
      for (let i = 0; i < 300; i++) yield bytes(`text ${i}`);
      throw new Error('the source broke');
    }
    const receipts: Address[] = [];
    const putting = async () => {
      for await (const { address } of segments.putMany(source(), { pin: 'p' }))
        receipts.push(address);
    };
    await expect(putting()).rejects.toThrow('the source broke');
    expect(receipts).toHaveLength(256);
    expect((await segments.stat('p'))?.addresses).toEqual(receipts);
  });
});

describe('an abort', () => {
  test('stops every method', async () => {
    const { address, pin } = await segments.put(bytes('a'));
    const aborted = { signal: AbortSignal.abort() };
    const calls: (() => Promise<unknown>)[] = [
      () => segments.put(bytes('b'), aborted),
      () => segments.putTokens([1], aborted),
      () => all(segments.putMany([bytes('b')], aborted)),
      () => segments.get(address, aborted),
      () => segments.getTokens(address, aborted),
      () => all(segments.getMany([address], aborted)),
      () => segments.has(address, aborted),
      () => segments.release(pin, aborted),
      () => segments.stat(pin, aborted),
      () => all(segments.pins(aborted)),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await all(segments.pins())).toHaveLength(1);
  });
});

describe('a pin that names a missing segment', () => {
  test('is reported as corrupt, not read over and over', async () => {
    const store = new ModelStore();
    const damaged = new Segments(new ModelBackend(store));
    await damaged.put(bytes('a'), { pin: 'p' });
    store.byLocator.clear();
    await expect(damaged.stat('p')).rejects.toMatchObject({ code: 'CORRUPT' });
  });
});
