import { describe, expect, test } from 'vitest';
import { MeteredStore } from '../../../src/backends/storage/decorators/metered-store.ts';
import { Retries } from '../../../src/backends/storage/decorators/retries.ts';
import { RetryingStore } from '../../../src/backends/storage/decorators/retrying-store.ts';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import { probeConditions } from '../../../src/backends/storage/probe.ts';
import { RequestMeter } from '../../../src/backends/storage/request-meter.ts';
import { openS3Objects } from '../../../src/backends/storage/s3/open-s3-objects.ts';
import { SystemClock, SystemRandomness } from '../../../src/core/system/system-clock.ts';
import { describeObjectStore } from '../storage/object-store-contract.ts';
import { openAt } from './opened.ts';
import { newBucket, realServer } from './real-server.ts';
import { S3Server } from './s3-server.ts';

const components = { clock: new SystemClock(), randomness: new SystemRandomness() };

describeObjectStore(
  'memory, metered and retrying',
  async () => {
    const store = new RetryingStore(
      new MeteredStore(new MemoryObjectStore(), new RequestMeter()),
      new Retries(components),
    );
    return { store, close: () => store.close() };
  },
  { keys: 'ascii' },
);

describeObjectStore(
  'S3 in this process, retrying, below a prefix',
  async () => {
    const server = await new S3Server().start();
    server.quirks.minPartBytes = 64 * 1024;
    const s3 = await openAt(server.endpoint, { prefix: 'some/prefix é', partBytes: 64 * 1024 });
    const store = new RetryingStore(s3, new Retries(components));
    const fill = async (keys: readonly string[]) => {
      for (const key of keys)
        await server.store.put(`some/prefix é/${key}`, Buffer.from('x'), { kind: 'any' });
    };
    const close = async () => {
      await store.close();
      await server.close();
    };
    return { store, close, fill };
  },
  { keys: 'ascii', bigBytes: 5 * 64 * 1024 + 5 },
);

const real = realServer();
if (real === undefined) {
  describe.skip('object store: a real S3 server', () => {
    test('is not at hand', () => {});
  });
} else {
  describeObjectStore(`S3 on ${real.name}`, async () => {
    const server = await real.start();
    const bucket = await newBucket(server);
    const store = await openS3Objects({ ...server.config, bucket, prefix: 'prefix' });
    const sound = { versioning: 'off', harmfulRules: [], isSound: true };
    expect(await store.checkBucket(() => {})).toEqual(sound);
    await probeConditions(store, components.randomness);
    const close = async () => {
      await store.close();
      await server.close();
    };
    return { store, close };
  });
}
