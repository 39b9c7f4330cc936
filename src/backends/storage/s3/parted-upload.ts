import pLimit from 'p-limit';
import { throwIfAborted } from '../../../core/abort.ts';
import { VarveError } from '../../../core/errors.ts';
import type { PutCondition, PutResult, RequestOptions } from '../object-store.ts';
import { PROBE_PREFIX } from '../probe-remains.ts';
import { conditionHeaders } from './conditions.ts';
import { PARTS_AT_ONCE } from './ranged-read.ts';
import { type S3Requests, sourceOf } from './s3-requests.ts';
import { keepsVersions } from './s3-settings.ts';

interface Part {
  readonly ETag: string | undefined;
  readonly PartNumber: number;
}

/**
 * Multipart uploads: parts several at once, conditional on completion. An upload that fails is
 * aborted; one whose completion is of unknown outcome is left alone, for a lifecycle rule
 * (AbortIncompleteMultipartUpload) to clear away.
 */
export class PartedUpload {
  readonly #requests: S3Requests;
  #honoursConditions: Promise<boolean> | undefined;

  constructor(requests: S3Requests) {
    this.#requests = requests;
  }

  /**
   * Whether a condition holds on completion too. Services that know conditions on PUT may ignore
   * them here, which would lose an update, so it is tried out once, when first needed: completing
   * over an object with If-None-Match must be refused.
   */
  async isSafe(condition: PutCondition, bounds: RequestOptions): Promise<boolean> {
    if (condition.kind === 'any') return true;
    throwIfAborted(bounds.signal);
    const others = this.#honoursConditions;
    if (others !== undefined) {
      // What ended another call need not end this one.
      return others.catch(() => this.isSafe(condition, bounds));
    }
    this.#honoursConditions = this.#tryConditions(bounds).catch((error: unknown) => {
      this.#honoursConditions = undefined;
      throw error;
    });
    return this.#honoursConditions;
  }

  async put(
    key: string,
    body: Buffer,
    condition: PutCondition,
    bounds: RequestOptions,
  ): Promise<PutResult> {
    const upload = await this.#begin(key, bounds);
    let parts: Part[];
    try {
      parts = await this.#sendParts(key, upload, body, bounds);
      throwIfAborted(bounds.signal);
    } catch (error) {
      await this.#abort(key, upload, bounds);
      throw error;
    }
    const result = await this.#complete(key, upload, parts, condition, bounds);
    if (result instanceof VarveError || result.outcome === 'refused')
      await this.#abort(key, upload, bounds);
    if (result instanceof VarveError) throw result;
    return result;
  }

  #begin(key: string, bounds: RequestOptions): Promise<string> {
    const { bucket } = this.#requests.location;
    return this.#requests.get({
      verb: 'put',
      action: 's3:PutObject',
      key,
      bounds,
      send: (client, sdk, options) =>
        // A checksum of parts needs an algorithm from the beginning; each part's own guards it on
        // the way.
        client.send(
          new sdk.CreateMultipartUploadCommand({
            Bucket: bucket,
            Key: key,
            ChecksumAlgorithm: 'CRC32',
          }),
          options,
        ),
      use: ({ UploadId }) => {
        if (UploadId !== undefined) return UploadId;
        throw new VarveError(
          'INVALID_ARGUMENT',
          'the endpoint does not answer as S3 does (no UploadId)',
        );
      },
    });
  }

  async #sendParts(
    key: string,
    upload: string,
    body: Buffer,
    bounds: RequestOptions,
  ): Promise<Part[]> {
    const limit = pLimit(PARTS_AT_ONCE);
    const failed = new AbortController();
    const { signal } = bounds;
    const either = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
    const { bucket, partBytes } = this.#requests.location;
    const send = async (PartNumber: number) => {
      const part = body.subarray((PartNumber - 1) * partBytes, PartNumber * partBytes);
      const answer = await this.#requests.askPart({
        verb: 'put',
        action: 's3:PutObject',
        key,
        bytes: part.length,
        bounds: { ...bounds, signal: either },
        send: (client, sdk, options) => {
          const at = { Bucket: bucket, Key: key, UploadId: upload, PartNumber };
          return client.send(
            new sdk.UploadPartCommand({ ...at, Body: part, ChecksumAlgorithm: 'CRC32' }),
            options,
          );
        },
        use: ({ ETag, ChecksumCRC32 }) => ({
          ETag,
          PartNumber,
          ...(ChecksumCRC32 && { ChecksumCRC32 }),
        }),
      });
      if (answer.isAnswered) return answer.value;
      failed.abort(answer.error);
      throw answer.error;
    };
    const count = Math.max(1, Math.ceil(body.length / partBytes));
    const results = await Promise.allSettled(
      Array.from({ length: count }, (_, index) => limit(send, index + 1)),
    );
    // No request may still be writing parts when the upload is aborted, or they would stay.
    if (failed.signal.aborted) throw failed.signal.reason;
    return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  }

  async #complete(
    key: string,
    UploadId: string,
    Parts: Part[],
    condition: PutCondition,
    bounds: RequestOptions,
  ): Promise<PutResult | VarveError> {
    const { bucket } = this.#requests.location;
    const answer = await this.#requests.ask({
      verb: 'put',
      action: 's3:PutObject',
      key,
      bounds,
      send: (client, sdk, options) => {
        const at = { Bucket: bucket, Key: key, UploadId, MultipartUpload: { Parts } };
        return client.send(
          new sdk.CompleteMultipartUploadCommand({ ...at, ...conditionHeaders(condition) }),
          options,
        );
      },
      use: ({ ETag, VersionId }) => {
        if (ETag !== undefined && ETag !== '')
          return { etag: ETag, ...keepsVersions(this.#requests.location, VersionId) };
        throw new Error('completed without an ETag');
      },
    });
    if (answer.isAnswered) return { outcome: 'stored', ...answer.value, ...sourceOf(answer) };
    if (
      answer.effect === 'refused' ||
      (answer.effect === 'missing' && condition.kind === 'match')
    ) {
      return { outcome: 'refused' };
    }
    return answer.effect === 'unknown' ? { outcome: 'unknown', error: answer.error } : answer.error;
  }

  /** As well as can be within the call: what stays is invisible, and a lifecycle rule's. */
  async #abort(Key: string, UploadId: string, bounds: RequestOptions): Promise<void> {
    const asking = this.#requests.ask({
      verb: 'delete',
      action: 's3:AbortMultipartUpload',
      key: Key,
      bounds,
      send: (client, sdk, options) => {
        const { bucket } = this.#requests.location;
        return client.send(
          new sdk.AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }),
          options,
        );
      },
      use: () => undefined,
    });
    await asking.catch(() => {});
  }

  async #tryConditions(bounds: RequestOptions): Promise<boolean> {
    const { bucket, prefix } = this.#requests.location;
    const key = `${prefix}${PROBE_PREFIX}${crypto.randomUUID()}`;
    const at = { Bucket: bucket, Key: key };
    const about = { key, bounds, use: () => undefined };
    await this.#requests.get({
      ...about,
      verb: 'put',
      action: 's3:PutObject',
      send: (client, sdk, options) =>
        client.send(new sdk.PutObjectCommand({ ...at, Body: Buffer.from('1') }), options),
    });
    const create = await this.put(key, Buffer.from('2'), { kind: 'absent' }, bounds);
    const replace = await this.put(
      key,
      Buffer.from('3'),
      { kind: 'match', etag: '"00000000000000000000000000000000"' },
      bounds,
    );
    await this.#requests.ask({
      ...about,
      verb: 'delete',
      action: 's3:DeleteObject',
      send: (client, sdk, options) => client.send(new sdk.DeleteObjectCommand(at), options),
    });
    if (create.outcome === 'unknown') throw create.error;
    if (replace.outcome === 'unknown') throw replace.error;
    return create.outcome === 'refused' && replace.outcome === 'refused';
  }
}
