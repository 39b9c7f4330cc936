import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ObjectBackend } from '../../../src/backends/object/object-backend.ts';
import { MeteredStore } from '../../../src/backends/storage/decorators/metered-store.ts';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import { probeConditions } from '../../../src/backends/storage/probe.ts';
import { RequestMeter } from '../../../src/backends/storage/request-meter.ts';
import type { S3Objects } from '../../../src/backends/storage/s3/s3-objects.ts';
import { SystemRandomness } from '../../../src/core/system/system-clock.ts';
import { openAt } from '../s3/opened.ts';
import { type Quirks, S3Server } from '../s3/s3-server.ts';

const randomness = new SystemRandomness();

describe('the probe', () => {
  let server: S3Server;
  let store: S3Objects;
  beforeAll(async () => {
    server = await new S3Server().start();
    store = await openAt(server.endpoint, { prefix: 'p' });
  });
  afterEach(() => {
    for (const name of Object.keys(server.quirks)) delete server.quirks[name as keyof Quirks];
  });
  afterAll(async () => {
    await store.close();
    await server.close();
  });

  test('accepts a service that honours conditions, in about nine requests, and leaves nothing', async () => {
    const meter = new RequestMeter();
    const memory = new MemoryObjectStore();
    const facts = await probeConditions(new MeteredStore(memory, meter), randomness);
    expect(Math.abs(facts.clockOffsetMs)).toBeLessThan(1000);
    const { requests } = meter.metrics();
    expect(requests).toEqual({ put: 5, get: 1, head: 1, list: 1, delete: 1 });
    expect((await memory.list('')).objects).toEqual([]);
    await probeConditions(store, randomness);
  });

  test('deletes what others left an hour ago, and nothing that is younger', async () => {
    let now = 1_000_000_000_000;
    const memory = new MemoryObjectStore({ now: () => now });
    await memory.put('probe/left.a', Buffer.from('x'), { kind: 'any' });
    now += 2 * 60 * 60 * 1000;
    await memory.put('probe/young.a', Buffer.from('x'), { kind: 'any' });
    const meter = new RequestMeter();
    await probeConditions(new MeteredStore(memory, meter), randomness);
    expect((await memory.list('')).objects.map(({ key }) => key)).toEqual(['probe/young.a']);
    expect(meter.metrics().requests).toEqual({ put: 5, get: 1, head: 1, list: 1, delete: 1 });
    for (const work of ['gc', 'audit'] as const) {
      await memory.put('probe/left.a', Buffer.from('x'), { kind: 'any' });
      now += 2 * 60 * 60 * 1000;
      await memory.put('probe/young.a', Buffer.from('x'), { kind: 'any' });
      const backend = new ObjectBackend(memory);
      if (work === 'gc') await backend.collect({ full: true });
      else for await (const _ of backend.audit({ repair: true })) break;
      await backend.close();
      expect((await memory.list('probe/')).objects.map(({ key }) => key)).toEqual([
        'probe/young.a',
      ]);
    }
  });

  test.each<[string, Quirks, RegExp]>([
    [
      'ignores If-None-Match',
      { ignoresIfNoneMatch: true },
      /If-None-Match both created one key.*does not honour/,
    ],
    ['ignores If-Match', { ignoresIfMatch: true }, /If-Match on an absent key is accepted/],
    [
      'stores under If-Match where there is nothing',
      { ifMatchOnAbsentStores: true },
      /absent key.*MinIO before 2025-09/,
    ],
    [
      'refuses the tag that it gave',
      { quotedTagsNeverMatch: true },
      /right tag is refused.*Ceph 16 and 18/,
    ],
  ])('refuses a service that %s', async (_, quirks, message) => {
    Object.assign(server.quirks, quirks);
    await expect(probeConditions(store, randomness)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message),
    });
    expect((await server.store.list('p/')).objects).toEqual([]);
  });

  test('refuses a service that compares only the tags of absent keys', async () => {
    class Careless extends MemoryObjectStore {
      override async put(...[key, body, condition, options]: Parameters<MemoryObjectStore['put']>) {
        const exists = (await this.head(key)) !== undefined;
        return super.put(
          key,
          body,
          condition.kind === 'match' && exists ? { kind: 'any' } : condition,
          options,
        );
      }
    }
    await expect(probeConditions(new Careless(), randomness)).rejects.toMatchObject({
      message: expect.stringMatching(/old tag is accepted/),
    });
  });

  test('refuses a service whose reads or listings lag behind', async () => {
    class Lagging extends MemoryObjectStore {
      readonly #lags: 'get' | 'list';
      constructor(lags: 'get' | 'list') {
        super();
        this.#lags = lags;
      }
      override async get(...parameters: Parameters<MemoryObjectStore['get']>) {
        return this.#lags === 'get' ? undefined : super.get(...parameters);
      }
      override async list(...parameters: Parameters<MemoryObjectStore['list']>) {
        const page = await super.list(...parameters);
        return this.#lags === 'list' ? { ...page, objects: [] } : page;
      }
    }
    for (const lags of ['get', 'list'] as const) {
      await expect(probeConditions(new Lagging(lags), randomness)).rejects.toMatchObject({
        message: expect.stringMatching(/not strongly consistent/),
      });
    }
  });
});
