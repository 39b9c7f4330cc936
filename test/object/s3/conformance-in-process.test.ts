import { afterAll, beforeAll, describe } from 'vitest';
import { leftOut } from '../../thorough.ts';
import { describeOnBucket } from './bucket-conformance.ts';
import { CREDENTIALS } from './opened.ts';
import { S3Server } from './s3-server.ts';

describe.skipIf(leftOut('the conformance suite on S3 in this process'))('in this process', () => {
  let server: S3Server;
  beforeAll(async () => {
    server = await new S3Server().start();
  });
  afterAll(() => server.close());
  describeOnBucket('S3', () => ({
    bucket: server.bucket,
    region: 'here-1',
    endpoint: server.endpoint,
    credentials: CREDENTIALS,
  }));
});
