import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { S3Config } from '../../../src/backends/storage/s3/s3-location.ts';
import { openAt } from './opened.ts';
import { S3Server } from './s3-server.ts';

describe('the settings of a bucket', () => {
  let server: S3Server;
  let warnings: string[];
  beforeEach(async () => {
    server = await new S3Server().start();
    warnings = [];
  });
  afterEach(() => server.close());

  async function check(config: Partial<S3Config> = {}) {
    const store = await openAt(server.endpoint, { prefix: 'store', ...config });
    try {
      return await store.checkBucket((message) => warnings.push(message));
    } finally {
      await store.close();
    }
  }

  test('are fine if there are none', async () => {
    expect(await check()).toEqual({ versioning: 'off', harmfulRules: [], isSound: true });
    expect(warnings).toEqual([]);
  });

  test('a versioned bucket is refused, unless it is allowed', async () => {
    server.quirks.versioning = 'Enabled';
    await expect(check()).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/keeps old versions.*allowVersioned=true/),
    });
    expect(await check({ allowVersioned: true })).toMatchObject({ versioning: 'enabled' });
  });

  test('suspended versioning is accepted', async () => {
    server.quirks.versioning = 'Suspended';
    expect(await check()).toMatchObject({ versioning: 'suspended' });
  });

  test('settings that may not be read are reported, and accepted', async () => {
    server.quirks.settingsDenied = true;
    expect(await check()).toEqual({
      versioning: 'unknown',
      harmfulRules: undefined,
      isSound: true,
    });
    expect(warnings).toEqual([expect.stringContaining('s3:GetBucketVersioning')]);
  });

  test('a missing key that answers 403 is refused, with the name of the missing permission', async () => {
    server.quirks.missingKeyDenied = true;
    await expect(check()).rejects.toMatchObject({
      code: 'DENIED',
      message: expect.stringContaining('s3:ListBucket'),
    });
  });

  test('a bucket that does not exist is named', async () => {
    await expect(check({ bucket: 'another' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(/another.*no such bucket/),
    });
  });

  test('lifecycle rules that would delete or archive objects of the store cause a warning', async () => {
    const expiration = { Status: 'Enabled', Expiration: { Days: 30 } };
    server.quirks.lifecycleRules = [
      { ID: 'all', Filter: { Prefix: '' }, ...expiration },
      { ID: 'within', Filter: { Prefix: 'store/segments/' }, ...expiration },
      { ID: 'old-style', Prefix: 'sto', ...expiration },
      {
        ID: 'archive',
        Filter: { Prefix: 'store/' },
        Status: 'Enabled',
        Transition: [{ Days: 9, StorageClass: 'GLACIER' }],
      },
      { ID: 'elsewhere', Filter: { Prefix: 'logs/' }, ...expiration },
      { ID: 'off', Filter: { Prefix: '' }, Status: 'Disabled', Expiration: { Days: 1 } },
      { ID: 'tagged', Filter: { Tag: { Key: 'k', Value: 'v' } }, ...expiration },
      {
        ID: 'uploads',
        Filter: { Prefix: '' },
        Status: 'Enabled',
        AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 },
      },
      {
        ID: 'markers',
        Filter: { Prefix: '' },
        Status: 'Enabled',
        Expiration: { ExpiredObjectDeleteMarker: true },
      },
    ];
    expect(await check()).toMatchObject({
      harmfulRules: ['all', 'within', 'old-style', 'archive'],
    });
    expect(warnings).toHaveLength(4);
    expect(warnings[0]).toMatch(
      /lifecycle rule all of bucket bucket deletes objects below store\//,
    );
    expect(warnings[3]).toMatch(/archive class/);
  });
});
