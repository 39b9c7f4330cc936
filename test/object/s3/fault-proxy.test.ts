import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Retries } from '../../../src/backends/storage/decorators/retries.ts';
import { RetryingStore } from '../../../src/backends/storage/decorators/retrying-store.ts';
import type { ObjectStore, StoredObject } from '../../../src/backends/storage/object-store.ts';
import { RequestMeter } from '../../../src/backends/storage/request-meter.ts';
import type { S3Objects } from '../../../src/backends/storage/s3/s3-objects.ts';
import { SystemClock, SystemRandomness } from '../../../src/core/system/system-clock.ts';
import { type Fault, FaultProxy } from './fault-proxy.ts';
import { openAt } from './opened.ts';
import { S3Server } from './s3-server.ts';

const KIB = 1024;

describe('between the client and the service', () => {
  let server: S3Server;
  let proxy: FaultProxy;
  let once: S3Objects;
  let store: RetryingStore;
  let meter: RequestMeter;
  beforeEach(async () => {
    server = await new S3Server().start();
    server.quirks.minPartBytes = 256 * KIB;
    proxy = await new FaultProxy(server.port).start();
    meter = new RequestMeter();
    once = await openAt(proxy.endpoint, { partBytes: 256 * KIB }, meter);
    const components = { clock: new SystemClock(), randomness: new SystemRandomness(), meter };
    store = new RetryingStore(
      once,
      new Retries(components, {
        firstPauseMs: 2,
        longestPauseMs: 20,
        deadlineMs: 10_000,
      }),
    );
  });
  afterEach(async () => {
    await store.close();
    await proxy.close();
    await server.close();
  });

  /** Gives each of the next exchanges one of the faults. */
  function inject(...faults: (Fault | undefined)[]): void {
    proxy.choose = () => faults.shift();
  }

  test('a write whose answer is lost has an unknown outcome, and has happened', async () => {
    for (const kind of ['drop-reply', 'reset'] as const) {
      inject({ kind });
      expect(await once.put(kind, Buffer.from('x'), { kind: 'absent' })).toMatchObject({
        outcome: 'unknown',
        error: { code: 'UNAVAILABLE' },
      });
      expect((await server.store.get(kind))?.body.length).toBe(1);
    }
  });

  test('the client itself repeats nothing', async () => {
    inject({ kind: 'drop-reply' });
    await once.put('key', Buffer.from('x'), { kind: 'absent' });
    expect(server.seen).toHaveLength(1);
    server.quirks.answerInstead = () => ({ status: 503, code: 'SlowDown' });
    await expect(once.get('key')).rejects.toMatchObject({ code: 'THROTTLED' });
    expect(server.seen).toHaveLength(2);
  });

  test('a repeated write whose first answer was lost keeps its unknown outcome', async () => {
    inject({ kind: 'drop-reply' });
    expect(await store.put('key', Buffer.from('x'), { kind: 'absent' })).toMatchObject({
      outcome: 'unknown',
    });
    expect(server.seen).toHaveLength(2);
  });

  test('a write that did not arrive is repeated until it does', async () => {
    inject({ kind: 'refuse' }, { kind: 'refuse' });
    expect(await store.put('key', Buffer.from('x'), { kind: 'absent' })).toMatchObject({
      outcome: 'stored',
    });
    expect(meter.metrics()).toMatchObject({ requests: { put: 3 }, retries: 2, failures: 2 });
  });

  test('a body that is cut off is never returned short', async () => {
    const body = Buffer.alloc(100 * KIB, 'abc');
    await server.store.put('key', body, { kind: 'any' });
    for (const bytes of [0, 10, 300, 2000, 90 * KIB]) {
      inject({ kind: 'truncate', bytes });
      await expect(once.get('key')).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
      inject({ kind: 'truncate', bytes });
      expect(isSame(await store.get('key'), body)).toBe(true);
    }
    expect(proxy.faults).toBe(10);
  });

  test('a listing that is cut off is never returned short', async () => {
    for (let index = 0; index < 50; index++)
      await server.store.put(`key${index}`, Buffer.from('x'), { kind: 'any' });
    inject({ kind: 'truncate', bytes: 3000 });
    await expect(once.list('')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    inject({ kind: 'truncate', bytes: 3000 });
    expect((await store.list('')).objects).toHaveLength(50);
  });

  test('an answer that stalls half-way fails, a slow one does not', async () => {
    await server.store.put('key', Buffer.alloc(100 * KIB, 'abc'), { kind: 'any' });
    inject({ kind: 'throttle', bytesPerMs: 300 });
    expect((await once.get('key'))?.size).toBe(100 * KIB);
    const impatient = await openAt(proxy.endpoint, { requestTimeoutMs: 300 });
    inject({ kind: 'throttle', bytesPerMs: 1 });
    await expect(impatient.get('key')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/no answer within/),
    });
    await impatient.close();
  });

  test('an answer that comes too late leaves the outcome of a write unknown', async () => {
    const impatient = await openAt(proxy.endpoint, { requestTimeoutMs: 300 });
    inject({ kind: 'delay', ms: 3000 });
    expect(await impatient.put('key', Buffer.from('x'), { kind: 'absent' })).toMatchObject({
      outcome: 'unknown',
    });
    await impatient.close();
  });

  test('big objects are stored whole, and leave no parts behind', async () => {
    const body = Buffer.alloc(1500 * KIB, 'abcdefg');
    let exchanges = 0;
    // Not on a completion, whose outcome would rightly be unknown.
    proxy.choose = () => (++exchanges % 5 === 2 ? { kind: 'refuse' } : undefined);
    expect(await store.put('key', body, { kind: 'any' })).toMatchObject({ outcome: 'stored' });
    expect(isSame(await store.get('key'), body)).toBe(true);
    expect(proxy.faults).toBeGreaterThan(1);
    proxy.choose = () => undefined;
    expect([...server.uploads.values()].filter((parts) => parts.size > 0)).toEqual([]);
  });

  test('a completion whose answer is lost has an unknown outcome', async () => {
    const body = Buffer.alloc(600 * KIB, 'abcdefg');
    proxy.choose = () => {
      const isCompletion = server.seen.filter(({ query }) => query.has('partNumber')).length === 3;
      return isCompletion ? { kind: 'drop-reply' } : undefined;
    };
    expect(await once.put('key', body, { kind: 'any' })).toMatchObject({ outcome: 'unknown' });
    expect((await server.store.get('key'))?.size).toBe(body.length);
  });

  test('a service that ignores conditions on completion gets big objects in one piece', async () => {
    server.quirks.ignoresConditionsOfParts = true;
    const body = Buffer.alloc(600 * KIB, 'abcdefg');
    expect(await once.put('key', body, { kind: 'absent' })).toMatchObject({ outcome: 'stored' });
    expect(await once.put('key', body, { kind: 'absent' })).toEqual({ outcome: 'refused' });
    expect(
      server.seen.filter(({ key, query }) => key === 'key' && query.has('partNumber')),
    ).toEqual([]);
    expect((await server.store.list('probe/')).objects).toEqual([]);
  });

  test('an object that is replaced while it is read in ranges is read again', async () => {
    const bodies = ['first', 'second'].map((text) => Buffer.alloc(600 * KIB, text));
    await server.store.put('key', bodies[0] as Buffer, { kind: 'any' });
    let gets = 0;
    server.quirks.answerInstead = ({ method }) => {
      // After the size is known and the first range was requested.
      if (method === 'GET' && ++gets === 3)
        void server.store.put('key', bodies[1] as Buffer, { kind: 'any' });
      return undefined;
    };
    expect(isSame(await once.get('key'), bodies[1])).toBe(true);
  });

  test('racing increments under faults are neither lost nor applied twice', async () => {
    await server.store.put('counter', Buffer.from('[]'), { kind: 'any' });
    const random = seeded(20_261_121);
    proxy.choose = () => {
      const fraction = random();
      if (fraction < 0.08) return { kind: 'drop-reply' };
      if (fraction < 0.14) return { kind: 'reset' };
      if (fraction < 0.2) return { kind: 'refuse' };
      return fraction < 0.26 ? { kind: 'truncate', bytes: Math.floor(random() * 400) } : undefined;
    };
    const names = Array.from({ length: 6 }, (_, writer) =>
      Array.from({ length: 5 }, (_, turn) => `${writer}.${turn}`),
    );
    await Promise.all(
      names.map(async (own) => {
        for (const name of own) await addName(store, name);
      }),
    );
    proxy.choose = () => undefined;
    const kept: string[] = JSON.parse(
      Buffer.from((await store.get('counter'))?.body ?? []).toString(),
    );
    expect(kept.toSorted()).toEqual(names.flat().toSorted());
    expect(proxy.faults).toBeGreaterThan(20);
  });
});

/** `toEqual` takes seconds to compare megabytes. */
function isSame(object: StoredObject | undefined, body: Buffer | undefined): boolean {
  return object !== undefined && body !== undefined && Buffer.compare(object.body, body) === 0;
}

/** Adds a name to a list by compare-and-swap, and trusts every outcome. */
async function addName(store: ObjectStore, name: string): Promise<void> {
  let mayBeThere = false;
  for (;;) {
    const seen = await store.get('counter');
    const names: string[] = JSON.parse(Buffer.from(seen?.body ?? []).toString());
    if (mayBeThere && names.includes(name)) return;
    // If a reported outcome is wrong, a name is added twice, and the test fails.
    const body = Buffer.from(JSON.stringify([...names, name]));
    const result = await store.put('counter', body, { kind: 'match', etag: seen?.etag ?? '' });
    if (result.outcome === 'stored') return;
    mayBeThere ||= result.outcome === 'unknown';
  }
}

/** Mulberry32: the same numbers in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
