import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatS3Location, parseS3Location } from '../../../src/backends/storage/s3/s3-location.ts';

describe('an S3 location', () => {
  test('is a bucket, and everything else has a default', () => {
    expect(parseS3Location('s3://bucket')).toEqual({
      bucket: 'bucket',
      prefix: '',
      region: undefined,
      endpoint: undefined,
      pathStyle: false,
      credentials: undefined,
      allowVersioned: false,
      connectTimeoutMs: 5000,
      requestTimeoutMs: 20_000,
      maxConnections: 64,
      partBytes: 16 * 1024 * 1024,
    });
  });

  test('has a prefix that ends with a slash, and parameters', () => {
    const location =
      's3://bucket/a%20b/c/?region=eu-west-1&endpoint=http://localhost:9000/&pathStyle=false&allowVersioned=true';
    expect(parseS3Location(location)).toMatchObject({
      bucket: 'bucket',
      prefix: 'a b/c/',
      region: 'eu-west-1',
      endpoint: 'http://localhost:9000',
      pathStyle: false,
      allowVersioned: true,
    });
  });

  test('names the bucket in the path where there is an endpoint', () => {
    expect(parseS3Location('s3://bucket?endpoint=https://minio.example').pathStyle).toBe(true);
  });

  test('may ask anonymously', () => {
    expect(parseS3Location('s3://bucket?anonymous=true').credentials).toBe('anonymous');
    expect(parseS3Location('s3://bucket?anonymous=false').credentials).toBeUndefined();
  });

  test.each([
    ['s3:bucket', /written s3:\/\/bucket\/prefix/],
    ['s3://', /not a bucket name: ""/],
    ['s3://UPPER', /not a bucket name: "UPPER"/],
    ['s3://a', /not a bucket name/],
    ['s3://a..b', /not a bucket name/],
    ['s3://10.0.0.1', /not a bucket name/],
    ['s3://bucket//a', /empty part/],
    ['s3://bucket/a//b', /empty part/],
    ['s3://bucket/a/../b', /part \. or \.\./],
    ['s3://bucket/%00', /control characters/],
    ['s3://bucket/%zz', /percent-encoded/],
    [`s3://bucket/${'x'.repeat(513)}`, /longer than 512 bytes/],
    ['s3://bucket/a#b', /%23/],
    ['s3://bucket?colour=red', /parameter colour .* unknown: there are region, endpoint/],
    ['s3://bucket?region=a&region=b', /region is in the S3 location twice/],
    ['s3://bucket?region=eu%20west', /region/],
    ['s3://bucket?region=', /region/],
    ['s3://bucket?pathStyle=yes', /pathStyle .* true or false/],
    ['s3://bucket?endpoint=localhost:9000', /https:\/\/ or http:\/\//],
    ['s3://bucket?endpoint=http://host/?x=1', /no query/],
  ])('is refused with a reason: %s', (location, message) => {
    expect(() => parseS3Location(location)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
    expect(() => parseS3Location(location)).toThrow(message);
  });

  test.each([
    's3://AKIASECRET:SECRET@bucket/prefix',
    's3://SECRET@bucket',
    's3://bucket?accessKeyId=SECRET',
    's3://bucket?secretAccessKey=SECRET',
    's3://bucket?X-Amz-Security-Token=SECRET',
    's3://bucket?endpoint=http://user:SECRET@host',
    's3://bucket?SECRET0123456789SECRET0123456789SECRET=1',
  ])('never repeats what may be a secret: %s', (location) => {
    expect(() => parseS3Location(location)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
    expect(() => parseS3Location(location)).not.toThrow(/SECRET/);
  });

  test('never repeats the credentials of a configuration', () => {
    const credentials = {
      accessKeyId: 'SECRET',
      secretAccessKey: 'SECRET',
      sessionToken: 'SECRET',
    };
    expect(formatS3Location(parseS3Location({ bucket: 'bucket', credentials }))).toBe(
      's3://bucket',
    );
    const wrong = { bucket: 'bucket', credentials: { accessKeyId: 'SECRET' } } as never;
    expect(() => parseS3Location(wrong)).toThrow(/accessKeyId, secretAccessKey/);
    expect(() => parseS3Location(wrong)).not.toThrow(/SECRET/);
  });

  test('refuses what a configuration does not have', () => {
    expect(() => parseS3Location({ bucket: 'bucket', prefx: 'a' } as never)).toThrow(
      /no option "prefx": did you mean "prefix"/,
    );
    expect(() => parseS3Location({ bucket: 'bucket', requestTimeoutMs: 0 })).toThrow(
      /requestTimeoutMs/,
    );
  });

  test('allows elsewhere the names that Ceph allows', () => {
    expect(parseS3Location('s3://My_Bucket?endpoint=http://ceph').bucket).toBe('My_Bucket');
  });

  test('is printed as it was parsed', () => {
    const part = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((text) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are left out.
      const unwanted = /[/\u0000-\u001f\u007f]/;
      return text.isWellFormed() && !unwanted.test(text) && text !== '.' && text !== '..';
    });
    fc.assert(
      fc.property(
        fc.record({
          bucket: fc.constantFrom('bucket', 'my-bucket.logs'),
          prefix: fc.array(part, { maxLength: 3 }).map((parts) => parts.join('/')),
          region: fc.constantFrom(undefined, 'eu-west-1'),
          endpoint: fc.constantFrom(undefined, 'http://localhost:9000', 'https://s3.example/base'),
          pathStyle: fc.constantFrom(undefined, true, false),
          allowVersioned: fc.constantFrom(undefined, true),
        }),
        (config) => {
          const location = parseS3Location(config);
          expect(parseS3Location(formatS3Location(location))).toEqual(location);
        },
      ),
    );
  });
});
