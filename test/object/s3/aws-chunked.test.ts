import { describe, expect, test } from 'vitest';
import { decodeAwsChunked } from './aws-chunked.ts';
import { openAt } from './opened.ts';
import { S3Server } from './s3-server.ts';

describe('the test server', () => {
  test('decodes chunks, their signatures and trailers', () => {
    const encoded =
      '3;chunk-signature=abc\r\nabc\r\n2\r\n\r\n\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n';
    const { body, trailers } = decodeAwsChunked(Buffer.from(encoded));
    expect(body.toString()).toBe('abc\r\n');
    expect(trailers).toEqual({ 'x-amz-checksum-crc32': 'AAAAAA==' });
  });

  test('refuses a body that does not match its checksum', async () => {
    const server = await new S3Server().start();
    const put = (checksum: string) =>
      fetch(`${server.endpoint}/bucket/key`, {
        method: 'PUT',
        body: 'abc',
        headers: { 'x-amz-checksum-crc32': checksum },
      });
    expect((await put('AAAAAA==')).status).toBe(400);
    expect((await put('NSRBwg==')).status).toBe(200);
    await server.close();
  });

  test('gets a checksum with every write of the client', async () => {
    const server = await new S3Server().start();
    const store = await openAt(server.endpoint);
    await store.put('key', Buffer.from('abc'), { kind: 'any' });
    expect(server.seen).toMatchObject([{ hasChecksum: true }]);
    await store.close();
    await server.close();
  });
});
