import type { Readable } from 'node:stream';
import pLimit from 'p-limit';
import type { ObjectHead, RequestOptions } from '../object-store.ts';
import type { S3Requests } from './s3-requests.ts';

/** Parts of one object under way at once. */
export const PARTS_AT_ONCE = 4;

/**
 * An object's bytes by parallel ranged reads; `undefined` when it was replaced or deleted
 * meanwhile.
 */
export async function readRanges(
  requests: S3Requests,
  key: string,
  { size, etag }: ObjectHead,
  bounds: RequestOptions,
): Promise<Buffer | undefined> {
  const { bucket, partBytes } = requests.location;
  const whole = Buffer.allocUnsafeSlow(size);
  const limit = pLimit(PARTS_AT_ONCE);
  const starts = Array.from(
    { length: Math.ceil(size / partBytes) },
    (_, index) => index * partBytes,
  );
  // The first failure ends the others.
  const failed = new AbortController();
  const { signal } = bounds;
  const either = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  let hasChanged = false;
  const read = async (start: number) => {
    if (failed.signal.aborted) return;
    const part = whole.subarray(start, start + partBytes);
    const answer = await requests.askPart({
      verb: 'get',
      action: 's3:GetObject',
      key,
      bounds: { ...bounds, signal: either },
      send: (client, sdk, options) => {
        const Range = `bytes=${start}-${start + part.length - 1}`;
        const input = { Bucket: bucket, Key: key, Range, IfMatch: etag };
        return client.send(new sdk.GetObjectCommand(input), options);
      },
      use: (output, exchange) => exchange.readBody(output.Body as Readable, part),
    });
    if (answer.isAnswered) {
      requests.meter.received(part.length);
      return;
    }
    const status =
      answer.error.cause instanceof Error &&
      'status' in answer.error.cause &&
      answer.error.cause.status;
    hasChanged ||= answer.effect === 'missing' || status === 412 || status === 416;
    failed.abort();
    if (!hasChanged) throw answer.error;
  };
  const results = await Promise.allSettled(starts.map((start) => limit(read, start)));
  if (hasChanged) return undefined;
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  return whole;
}
