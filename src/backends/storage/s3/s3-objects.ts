import type { Readable } from 'node:stream';
import { VarveError } from '../../../core/errors.ts';
import { checkDeletedKeys, checkListLimit } from '../object-limits.ts';
import type {
  ListObjectsOptions,
  ObjectHead,
  ObjectPage,
  PutCondition,
  PutResult,
  RequestOptions,
  StoredObject,
} from '../object-store.ts';
import type { Provider } from '../provider.ts';
import type { RequestMeter } from '../request-meter.ts';
import { conditionHeaders } from './conditions.ts';
import { decodeListed } from './listing-encoding.ts';
import { PartedUpload } from './parted-upload.ts';
import { readRanges } from './ranged-read.ts';
import { describeFailure } from './s3-failure.ts';
import { formatS3Location } from './s3-location.ts';
import { type S3Requests, sourceOf } from './s3-requests.ts';
import { type BucketFacts, checkBucket, keepsVersions } from './s3-settings.ts';

/** Times that a large object may be replaced while it is read in ranges. */
const MAX_CHANGES = 5;

type Reading = StoredObject | 'too-large' | undefined;

/** Objects below a prefix of a bucket. Each request is sent once: see `RetryingStore`. */
export class S3Objects implements Provider {
  readonly location: string;
  readonly #requests: S3Requests;
  readonly #uploads: PartedUpload;
  readonly #bucket: string;
  readonly #prefix: string;

  constructor(requests: S3Requests) {
    this.#requests = requests;
    this.#uploads = new PartedUpload(requests);
    this.location = formatS3Location(requests.location);
    this.#bucket = requests.location.bucket;
    this.#prefix = requests.location.prefix;
  }

  get meter(): RequestMeter {
    return this.#requests.meter;
  }

  /** Looks at the settings of the bucket; see {@link checkBucket}. */
  checkBucket(
    onWarning: (message: string) => void,
    options: RequestOptions = {},
  ): Promise<BucketFacts> {
    return checkBucket(this.#requests, onWarning, options);
  }

  async get(key: string, bounds: RequestOptions = {}): Promise<StoredObject | undefined> {
    const object = await this.#read(key, bounds);
    if (object !== 'too-large') return object;
    for (let changes = 0; changes < MAX_CHANGES; changes++) {
      const head = await this.head(key, bounds);
      if (head === undefined) return undefined;
      const body = await readRanges(this.#requests, this.#prefix + key, head, bounds);
      if (body !== undefined) return { ...head, body };
    }
    throw new VarveError(
      'UNAVAILABLE',
      `${this.#prefix}${key} is replaced again and again while it is read`,
    );
  }

  async head(key: string, bounds: RequestOptions = {}): Promise<ObjectHead | undefined> {
    const answer = await this.#requests.ask({
      verb: 'head',
      action: 's3:GetObject',
      key: this.#prefix + key,
      bounds,
      send: (client, sdk, options) =>
        client.send(
          new sdk.HeadObjectCommand({ Bucket: this.#bucket, Key: this.#prefix + key }),
          options,
        ),
      use: (output) => this.#headOf(output),
    });
    if (answer.isAnswered) return { ...answer.value, ...sourceOf(answer) };
    if (answer.effect === 'missing') return undefined;
    throw answer.error;
  }

  async put(
    key: string,
    body: Uint8Array,
    condition: PutCondition,
    bounds: RequestOptions = {},
  ): Promise<PutResult> {
    const fullKey = this.#prefix + key;
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    if (
      bytes.length > this.#requests.location.partBytes &&
      (await this.#uploads.isSafe(condition, bounds))
    ) {
      return this.#uploads.put(fullKey, bytes, condition, bounds);
    }
    const answer = await this.#requests.ask({
      verb: 'put',
      action: 's3:PutObject',
      key: fullKey,
      bytes: bytes.length,
      bounds,
      send: (client, sdk, options) => {
        const input = {
          Bucket: this.#bucket,
          Key: fullKey,
          Body: bytes,
          ...conditionHeaders(condition),
        };
        return client.send(new sdk.PutObjectCommand(input), options);
      },
      use: ({ ETag, VersionId }) => ({
        etag: this.#tagged(ETag),
        ...keepsVersions(this.#requests.location, VersionId),
      }),
    });
    if (answer.isAnswered) return { outcome: 'stored', ...answer.value, ...sourceOf(answer) };
    // Without a condition there is nothing to refuse.
    const isUnclear = condition.kind === 'any' && answer.effect === 'refused';
    if (isUnclear) return { outcome: 'unknown', error: answer.error };
    if (
      answer.effect === 'refused' ||
      (answer.effect === 'missing' && condition.kind === 'match')
    ) {
      return { outcome: 'refused' };
    }
    if (answer.effect === 'unknown') return { outcome: 'unknown', error: answer.error };
    throw answer.error;
  }

  async delete(keys: readonly string[], bounds: RequestOptions = {}): Promise<void> {
    checkDeletedKeys(keys);
    const [only] = keys;
    if (only === undefined) return;
    const isAlone = keys.length === 1;
    const answer = await this.#requests.ask({
      verb: 'delete',
      action: 's3:DeleteObject',
      key: isAlone ? this.#prefix + only : this.#prefix,
      bounds,
      send: async (client, sdk, options) => {
        const at = { Bucket: this.#bucket };
        if (isAlone) {
          await client.send(
            new sdk.DeleteObjectCommand({ ...at, Key: this.#prefix + only }),
            options,
          );
          return {};
        }
        const Objects = keys.map((key) => ({ Key: this.#prefix + key }));
        return client.send(
          new sdk.DeleteObjectsCommand({ ...at, Delete: { Objects, Quiet: true } }),
          options,
        );
      },
      use: (output: { Errors?: { Code?: string; Key?: string }[] }) => output.Errors ?? [],
    });
    if (!answer.isAnswered && answer.effect !== 'missing') throw answer.error;
    if (!answer.isAnswered) return;
    // A batch is answered with 200 and the errors of single keys.
    for (const { Code, Key } of answer.value) {
      const { endpoint } = this.#requests.location;
      const request = { action: 's3:DeleteObject', bucket: this.#bucket, key: Key, endpoint };
      const failure = describeFailure(
        { name: Code, $metadata: { httpStatusCode: statusOf(Code) } },
        request,
      );
      if (failure.effect !== 'missing') throw failure.error;
    }
  }

  async list(prefix: string, options: ListObjectsOptions = {}): Promise<ObjectPage> {
    if (options.limit !== undefined) checkListLimit(options.limit);
    let page = await this.#page(prefix, options, undefined);
    // A page may be empty and not the last one; then there is no key to go on from.
    while (page.objects.length === 0 && page.token !== undefined)
      page = await this.#page(prefix, options, page.token);
    const { objects, isTruncated, serverTime } = page;
    return { objects, isTruncated, serverTime };
  }

  async close(): Promise<void> {
    this.#requests.close();
  }

  async #page(
    prefix: string,
    { after, limit = 1000, ...bounds }: ListObjectsOptions,
    token: string | undefined,
  ): Promise<ObjectPage & { readonly token: string | undefined }> {
    const answer = await this.#requests.ask({
      verb: 'list',
      action: 's3:ListBucket',
      key: this.#prefix + prefix,
      bounds,
      send: (client, sdk, options) => {
        const input = {
          Bucket: this.#bucket,
          Prefix: this.#prefix + prefix,
          MaxKeys: limit,
          EncodingType: 'url' as const,
        };
        const from = after === undefined ? {} : { StartAfter: this.#prefix + after };
        const position = token === undefined ? from : { ContinuationToken: token };
        return client.send(new sdk.ListObjectsV2Command({ ...input, ...position }), options);
      },
      use: (output) => decodeListed(output, this.#prefix),
    });
    if (answer.isAnswered) return { ...answer.value, serverTime: answer.serverTime };
    throw answer.error;
  }

  async #read(key: string, bounds: RequestOptions): Promise<Reading> {
    const answer = await this.#requests.ask({
      verb: 'get',
      action: 's3:GetObject',
      key: this.#prefix + key,
      bounds,
      send: (client, sdk, options) => {
        const input = {
          Bucket: this.#bucket,
          Key: this.#prefix + key,
          ChecksumMode: 'ENABLED' as const,
        };
        return client.send(new sdk.GetObjectCommand(input), options);
      },
      use: async (output, exchange) => {
        const stream = output.Body as Readable | undefined;
        const head = this.#headOf(output);
        if (stream === undefined) return { ...head, body: Buffer.alloc(0) };
        if (head.size > this.#requests.location.partBytes) {
          stream.on('error', () => {}).destroy();
          return 'too-large';
        }
        const body = Buffer.allocUnsafeSlow(head.size);
        await exchange.readBody(stream, body);
        this.#requests.meter.received(body.length);
        return { ...head, body };
      },
    });
    if (answer.isAnswered) {
      return answer.value === 'too-large' ? 'too-large' : { ...answer.value, ...sourceOf(answer) };
    }
    // A proxy answers 404, too: only an answer that names the key means that there is no such
    // object.
    if (answer.effect === 'missing' && causeOf(answer.error) === 'NoSuchKey') return undefined;
    if (answer.error.cause instanceof Error && answer.error.cause.name === 'ChecksumMismatch') {
      throw new VarveError(
        'CORRUPT',
        `the bytes of ${this.#prefix}${key} do not match their checksum`,
        {
          cause: answer.error,
        },
      );
    }
    throw answer.error;
  }

  #headOf(output: {
    ETag?: string | undefined;
    ContentLength?: number | undefined;
    LastModified?: Date | undefined;
  }) {
    const { ContentLength, LastModified } = output;
    if (ContentLength === undefined) throw this.#unlikeS3('no Content-Length');
    if (LastModified === undefined) throw this.#unlikeS3('no Last-Modified');
    return {
      etag: this.#tagged(output.ETag),
      size: ContentLength,
      lastModified: LastModified.getTime(),
    };
  }

  /** As given, quotes included: that is how conditions send it back. */
  #tagged(etag: string | undefined): string {
    if (etag === undefined || etag === '') throw this.#unlikeS3('no ETag');
    return etag;
  }

  #unlikeS3(fault: string): VarveError {
    const { endpoint = 'the endpoint' } = this.#requests.location;
    return new VarveError(
      'INVALID_ARGUMENT',
      `${endpoint} does not answer as S3 does (${fault}): is it the right one?`,
    );
  }
}

/** The status of an error within an answer, for names that do not determine it. */
function statusOf(code: string | undefined): number {
  return code === 'AccessDenied' ? 403 : 500;
}

function causeOf({ cause }: Error): string | undefined {
  return cause instanceof Error ? cause.name : undefined;
}
