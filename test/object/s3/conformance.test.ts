import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe } from 'vitest';
import { type OpenS3Options, openS3 } from '../../../src/backends/object/s3/open-s3.ts';
import type { S3Config } from '../../../src/backends/object/s3/s3-location.ts';
import { describeBackend } from '../../conformance/backend-conformance.ts';
import { leftOut } from '../../thorough.ts';
import { CREDENTIALS } from './opened.ts';
import { newBucket, type RealServer, realServer } from './real-server.ts';
import { S3Server } from './s3-server.ts';

/** The suite on stores of their own below prefixes of one bucket. */
function describeOnBucket(name: string, configOf: () => Omit<S3Config, 'prefix'>): void {
  describeBackend(name, {
    // Each test of the suite opens a store of its own, which takes a dozen requests: the long ones are cut short.
    modelRuns: 3,
    manyManifests: 1100,
    scale: 0.05,
    open: async () => {
      const config = { ...configOf(), prefix: randomUUID() };
      const again = (options?: OpenS3Options) => openS3(config, options);
      const backend = await again();
      return {
        backend,
        reopen: again,
        second: again,
        readOnly: () => again({ readOnly: true }),
        dispose: () => backend.close(),
      };
    },
  });
}

const isLeftOut = leftOut('the conformance suite on S3');

describe.skipIf(isLeftOut)('in this process', () => {
  let server: S3Server;
  beforeAll(async () => {
    server = await new S3Server().start();
  });
  afterAll(() => server.close());
  describeOnBucket('S3 in this process', () => ({
    bucket: server.bucket,
    region: 'here-1',
    endpoint: server.endpoint,
    credentials: CREDENTIALS,
  }));
});

const real = isLeftOut ? undefined : realServer();
describe.skipIf(real === undefined)('on a real server', () => {
  let server: RealServer;
  let bucket: string;
  beforeAll(async () => {
    server = await (real as NonNullable<typeof real>).start();
    bucket = await newBucket(server);
  }, 120_000);
  afterAll(() => server.close());
  describeOnBucket(`S3 on ${real?.name}`, () => ({ ...server.config, bucket }));
});
