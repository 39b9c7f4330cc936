import { inspect } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { PutCondition } from '../../../src/backends/storage/object-store.ts';
import { RequestMeter } from '../../../src/backends/storage/request-meter.ts';
import type { S3Objects } from '../../../src/backends/storage/s3/s3-objects.ts';
import { ServiceFault } from '../../../src/backends/storage/service-fault.ts';
import type { ErrorCode, VarveError } from '../../../src/core/errors.ts';
import { CREDENTIALS, openAt } from './opened.ts';
import { type ErrorAnswer, S3Server } from './s3-server.ts';

const ANY: PutCondition = { kind: 'any' };
const MATCH: PutCondition = { kind: 'match', etag: '"tag"' };
const BODY = Buffer.from('body');

let server: S3Server;
let store: S3Objects;
let meter: RequestMeter;

beforeAll(async () => {
  server = await new S3Server().start();
  meter = new RequestMeter();
  store = await openAt(
    server.endpoint,
    { prefix: 'p', credentials: { ...CREDENTIALS, sessionToken: 'a-session-token' } },
    meter,
  );
});
beforeEach(() => {
  delete server.quirks.answerInstead;
  delete server.quirks.flipsBits;
});
afterAll(async () => {
  await store.close();
  await server.close();
});

function answer(answer: ErrorAnswer): void {
  server.quirks.answerInstead = () => answer;
}

async function failure(promise: Promise<unknown>): Promise<VarveError> {
  return promise.then(
    () => expect.unreachable('it did not fail'),
    (error: VarveError) => error,
  );
}

describe('an S3 error', () => {
  test.each<[number, string | undefined, ErrorCode, RegExp]>([
    [404, 'NoSuchBucket', 'NOT_FOUND', /no such bucket here/],
    [
      403,
      'AccessDenied',
      'DENIED',
      /GetObject bucket\/p\/key at http.*lack s3:GetObject for it, or s3:ListBucket/,
    ],
    [403, undefined, 'DENIED', /s3:ListBucket/],
    [401, undefined, 'DENIED', /credentials/],
    [403, 'InvalidAccessKeyId', 'DENIED', /access key is unknown/],
    [403, 'SignatureDoesNotMatch', 'DENIED', /secret key does not belong/],
    [400, 'ExpiredToken', 'DENIED', /session token has expired/],
    [403, 'RequestTimeTooSkewed', 'DENIED', /clock/],
    [403, 'InvalidObjectState', 'DENIED', /archive class/],
    [503, 'SlowDown', 'THROTTLED', /slow down/],
    [429, undefined, 'THROTTLED', /slow down/],
    [503, 'ServiceUnavailable', 'UNAVAILABLE', /503 ServiceUnavailable/],
    [500, undefined, 'UNAVAILABLE', /500/],
    [502, undefined, 'UNAVAILABLE', /502/],
    [400, 'RequestTimeout', 'UNAVAILABLE', /RequestTimeout/],
    [501, 'NotImplemented', 'INVALID_ARGUMENT', /does not have what Varve needs/],
    [400, 'InvalidRequest', 'INVALID_ARGUMENT', /400 InvalidRequest/],
    [507, undefined, 'NO_SPACE', /used up/],
  ])('%s %s is %s and says what to do', async (status, code, expected, message) => {
    answer({ status, ...(code !== undefined && { code }) });
    const error = await failure(store.get('key'));
    expect(error).toMatchObject({ code: expected, message: expect.stringMatching(message) });
    expect(error.cause).toBeInstanceOf(ServiceFault);
    expect(error.cause).toMatchObject({ status });
  });

  test.each<ErrorAnswer>([
    { status: 301, code: 'PermanentRedirect', headers: { 'x-amz-bucket-region': 'there-2' } },
    { status: 400, code: 'AuthorizationHeaderMalformed', details: { Region: 'there-2' } },
    { status: 307, headers: { 'x-amz-bucket-region': 'there-2' } },
  ])('of another region names it: $status $code', async (redirect) => {
    answer(redirect);
    expect(await failure(store.get('key'))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/region there-2, not in here-1: say region=there-2/),
    });
  });

  test('contains no credentials', async () => {
    for (const status of [403, 500]) {
      answer({
        status,
        code: 'SignatureDoesNotMatch',
        details: { AWSAccessKeyId: CREDENTIALS.accessKeyId },
      });
      const shown = inspect(await failure(store.get('key')), {
        depth: Number.POSITIVE_INFINITY,
        showHidden: true,
      });
      for (const secret of [...Object.values(CREDENTIALS), 'a-session-token'])
        expect(shown).not.toContain(secret);
    }
  });

  test('reports for how long the service asks to wait', async () => {
    answer({ status: 503, code: 'SlowDown', headers: { 'Retry-After': '7' } });
    expect(await failure(store.get('key'))).toMatchObject({ cause: { retryAfterMs: 7000 } });
  });

  test('distinguishes a missing key from a missing bucket', async () => {
    expect(await store.get('key')).toBeUndefined();
    expect(await store.head('key')).toBeUndefined();
  });

  test.each<[number, string | undefined, PutCondition, 'refused' | 'unknown' | ErrorCode]>([
    [412, 'PreconditionFailed', MATCH, 'refused'],
    [412, undefined, MATCH, 'refused'],
    [409, 'ConditionalRequestConflict', MATCH, 'refused'],
    [409, 'ConcurrentModification', MATCH, 'refused'],
    [404, 'NoSuchKey', MATCH, 'refused'],
    [404, 'NoSuchBucket', MATCH, 'NOT_FOUND'],
    [404, undefined, ANY, 'NOT_FOUND'],
    [500, 'InternalError', MATCH, 'unknown'],
    [502, undefined, MATCH, 'unknown'],
    [503, 'ServiceUnavailable', MATCH, 'unknown'],
    [504, undefined, MATCH, 'unknown'],
    [503, undefined, MATCH, 'unknown'],
    [503, 'SlowDown', MATCH, 'THROTTLED'],
    [429, undefined, MATCH, 'THROTTLED'],
    [429, 'TooManyRequests', MATCH, 'THROTTLED'],
    [503, 'SlowDownWrite', MATCH, 'unknown'],
    [503, 'RequestLimitExceeded', MATCH, 'unknown'],
    [400, 'BadDigest', MATCH, 'UNAVAILABLE'],
    [403, 'AccessDenied', MATCH, 'DENIED'],
  ])('%s %s to a write is reported as what it did', async (status, code, condition, expected) => {
    answer({ status, ...(code !== undefined && { code }) });
    const outcome = await store.put('key', BODY, condition).then(
      (result) => result.outcome,
      (error: VarveError) => error.code,
    );
    expect(outcome).toBe(expected);
  });

  test('a body that does not match its checksum is not returned', async () => {
    await store.put('key', BODY, ANY);
    server.quirks.flipsBits = true;
    expect(await failure(store.get('key'))).toMatchObject({
      code: 'CORRUPT',
      message: expect.stringContaining('p/key'),
    });
    await store.delete(['key']);
  });

  test('within the answer to a batch of deletions is not overlooked', async () => {
    const { close, endpoint } = await answering(
      200,
      '<DeleteResult><Error><Key>p/a</Key><Code>AccessDenied</Code></Error></DeleteResult>',
    );
    const other = await openAt(endpoint);
    expect(await failure(other.delete(['a', 'b']))).toMatchObject({ code: 'DENIED' });
    await other.close();
    await close();
  });

  test('a server that is not S3 is recognised', async () => {
    const { close, endpoint } = await answering(200, '<html>Welcome</html>');
    const other = await openAt(endpoint);
    expect(await failure(other.get('key'))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/does not answer as S3 does/),
    });
    expect(await other.put('key', BODY, ANY)).toMatchObject({
      outcome: 'unknown',
      error: { code: 'INVALID_ARGUMENT' },
    });
    await other.close();
    await close();
  });
});

describe('no answer', () => {
  test('where nobody listens means that nothing was done', async () => {
    const gone = await new S3Server().start();
    const { endpoint } = gone;
    await gone.close();
    const other = await openAt(endpoint);
    await expect(other.put('key', BODY, ANY)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      retryable: true,
      message: expect.stringMatching(/ECONNREFUSED.*is the endpoint right/),
    });
    await other.close();
  });

  test('where nobody speaks TLS means that nothing was done', async () => {
    const other = await openAt(server.endpoint.replace('http:', 'https:'));
    expect(await failure(other.put('key', BODY, ANY))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/does not speak TLS/),
    });
    await other.close();
  });

  test('in time leaves the outcome of a write unknown, and reading unavailable', async () => {
    server.quirks.answerInstead = () => 'hang';
    const other = await openAt(server.endpoint, { requestTimeoutMs: 100 });
    expect(await other.put('key', BODY, ANY)).toMatchObject({
      outcome: 'unknown',
      error: { code: 'UNAVAILABLE' },
    });
    expect(await failure(other.get('key'))).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    await other.close();
  });

  test('is not waited for after the caller has aborted', async () => {
    server.quirks.answerInstead = () => 'hang';
    const controller = new AbortController();
    const { signal } = controller;
    const writing = store.put('key', BODY, ANY, { signal });
    const reading = failure(store.get('key', { signal }));
    const seen = server.seen.length;
    await expect.poll(() => server.seen.length).toBeGreaterThanOrEqual(seen + 2);
    controller.abort(new Error('enough'));
    expect(await reading).toMatchObject({ code: 'ABORTED', cause: { message: 'enough' } });
    // It was sent, and may have been carried out.
    expect(await writing).toMatchObject({ outcome: 'unknown', error: { code: 'ABORTED' } });
  });
});

async function answering(
  status: number,
  body: string,
): Promise<{ endpoint: string; close: () => Promise<void> }> {
  const { createServer } = await import('node:http');
  const other = createServer((request, response) => {
    request.resume();
    request.on('end', () => response.writeHead(status, { 'Content-Type': 'text/html' }).end(body));
  });
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as { port: number };
  const close = () => {
    other.closeAllConnections();
    return new Promise<void>((resolve) => other.close(() => resolve()));
  };
  return { endpoint: `http://127.0.0.1:${port}`, close };
}
