import { afterAll, beforeAll, describe } from 'vitest';
import { leftOut } from '../../thorough.ts';
import { describeOnBucket } from './bucket-conformance.ts';
import { newBucket, type RealServer, realServer } from './real-server.ts';

const real = leftOut('the conformance suite on a real S3 server') ? undefined : realServer();

describe.skipIf(real === undefined)(`on ${real?.name ?? 'a real server'}`, () => {
  let server: RealServer;
  let bucket: string;
  beforeAll(async () => {
    server = await (real as NonNullable<typeof real>).start();
    bucket = await newBucket(server);
  }, 120_000);
  afterAll(() => server.close());
  describeOnBucket('S3', () => ({ ...server.config, bucket }));
});
