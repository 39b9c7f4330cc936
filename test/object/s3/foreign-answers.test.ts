import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { openAt } from './opened.ts';
import { S3Server } from './s3-server.ts';

const servers: (Server | S3Server)[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    if (server instanceof S3Server) await server.close();
    else {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  }
});

/** Answers every request with the same page, as proxies and captive portals do. */
async function portal(status: number): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(status, { 'content-type': 'text/html', date: new Date().toUTCString() });
    response.end('<html><body>Please log in</body></html>');
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a page that is not a listing is an error, not an empty listing', async () => {
  const store = await openAt(await portal(200));
  await expect(store.list('')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await store.close();
});

test('a 404 that does not name a key is an error, not an absent object', async () => {
  const store = await openAt(await portal(404));
  await expect(store.get('some/key')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await store.close();
});

test('a write that was sent and never answered may have happened', async () => {
  const server = await new S3Server().start();
  servers.push(server);
  server.quirks.answerInstead = ({ method }) => (method === 'PUT' ? 'hang' : undefined);
  const store = await openAt(server.endpoint, { requestTimeoutMs: 300 });
  const body = Buffer.alloc(256 * 1024, 'x');
  expect(await store.put('key', body, { kind: 'absent' })).toMatchObject({ outcome: 'unknown' });
  await store.close();
});

test('a conflict without a condition and a bare 503 leave the outcome unknown, SlowDown does not', async () => {
  const server = await new S3Server().start();
  servers.push(server);
  const store = await openAt(server.endpoint);
  server.quirks.answerInstead = () => ({ status: 409, code: 'OperationAborted' });
  expect(await store.put('key', Buffer.from('1'), { kind: 'any' })).toMatchObject({
    outcome: 'unknown',
  });
  server.quirks.answerInstead = () => ({ status: 503 });
  expect(await store.put('key', Buffer.from('1'), { kind: 'absent' })).toMatchObject({
    outcome: 'unknown',
    error: { code: 'UNAVAILABLE' },
  });
  server.quirks.answerInstead = () => ({ status: 503, code: 'SlowDown' });
  const throttled = store.put('key', Buffer.from('1'), { kind: 'absent' });
  await expect(throttled).rejects.toMatchObject({ code: 'THROTTLED' });
  await store.close();
});

test('a directory bucket, which lists in no order, is refused', async () => {
  await expect(
    openAt('http://127.0.0.1:9', { bucket: 'name--usw2-az1--x-s3' }),
  ).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
  });
});
