import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32 } from 'node:zlib';
import { MemoryObjectStore } from '../../../src/backends/storage/memory-store.ts';
import {
  MAX_DELETE_KEYS,
  MAX_KEY_BYTES,
  MAX_LISTED_OBJECTS,
} from '../../../src/backends/storage/object-limits.ts';
import type {
  ObjectHead,
  ObjectStore,
  PutCondition,
} from '../../../src/backends/storage/object-store.ts';
import { decodeAwsChunked } from './aws-chunked.ts';
import { type Elements, texts, xml } from './s3-xml.ts';

/** Defects and settings of services. All are off until set. */
export interface Quirks {
  /** 412 to every quoted tag, as Ceph 16 and 18. */
  quotedTagsNeverMatch?: boolean;
  /** If-Match on an absent key stores, as MinIO before 2025-09. */
  ifMatchOnAbsentStores?: boolean;
  ignoresIfNoneMatch?: boolean;
  ignoresIfMatch?: boolean;
  /** Conditions hold on PUT and are ignored by CompleteMultipartUpload. */
  ignoresConditionsOfParts?: boolean;
  /** A missing key answers 403, as without s3:ListBucket. */
  missingKeyDenied?: boolean;
  versioning?: 'Enabled' | 'Suspended';
  /** What it calls itself. */
  server?: string;
  /** The settings of the bucket answer 403. */
  settingsDenied?: boolean;
  lifecycleRules?: readonly Elements[];
  /** The smallest size of a part that is not the last, in bytes. Default: 5 MiB, as on S3. */
  minPartBytes?: number;
  /** Bodies are sent with one bit flipped. */
  flipsBits?: boolean;
  /** Gives this answer instead of doing anything; `hang`: never answers. */
  answerInstead?: (request: SeenRequest) => ErrorAnswer | 'hang' | undefined;
}

export interface ErrorAnswer {
  readonly status: number;
  /** Default: an empty body, as some proxies send. */
  readonly code?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly details?: Elements;
}

export interface SeenRequest {
  readonly method: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly isSigned: boolean;
  readonly hasSessionToken: boolean;
  readonly hasChecksum: boolean;
}

class ErrorReply extends Error {
  readonly answer: ErrorAnswer;
  constructor(status: number, code: string) {
    super(code);
    this.answer = { status, code };
  }
}

type Reply = { status?: number; headers?: Record<string, string>; body?: string | Buffer };

/** The highest number of a part. */
const MAX_PARTS = 10_000;

/**
 * An S3 service in this process over any object store: one bucket, path style; signatures are
 * recorded and not verified.
 */
export class S3Server {
  readonly bucket = 'bucket';
  readonly store: ObjectStore;
  readonly quirks: Quirks = {};
  /** Every request that arrived, in order. */
  readonly seen: SeenRequest[] = [];
  /** Uploads in parts that are neither completed nor aborted. */
  readonly uploads = new Map<string, Map<number, Buffer>>();
  /** The number of connections made. */
  connections = 0;
  readonly #server: Server;

  constructor(store: ObjectStore = new MemoryObjectStore()) {
    this.store = store;
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.on('connection', () => this.connections++);
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const id = randomUUID();
    try {
      const url = new URL(request.url ?? '/', 'http://host');
      const [, bucket = '', ...rest] = url.pathname.split('/').map(decodeURIComponent);
      const seen: SeenRequest = {
        method: request.method ?? '',
        key: rest.join('/'),
        query: url.searchParams,
        isSigned:
          request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 Credential=') ?? false,
        hasSessionToken: request.headers['x-amz-security-token'] !== undefined,
        hasChecksum: request.headers['x-amz-checksum-crc32'] !== undefined,
      };
      this.seen.push(seen);
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const body = checkedBody(request, Buffer.concat(chunks));
      const instead = this.quirks.answerInstead?.(seen);
      if (instead === 'hang') return;
      if (instead !== undefined) return sendError(response, instead, id);
      if (bucket !== this.bucket) throw new ErrorReply(404, 'NoSuchBucket');
      const {
        status = 200,
        headers = {},
        body: reply = '',
      } = await this.#answer(seen, request, body);
      response.writeHead(status, {
        'x-amz-request-id': id,
        'Content-Length': Buffer.byteLength(reply),
        ...(this.quirks.server !== undefined && { Server: this.quirks.server }),
        ...headers,
      });
      response.end(request.method === 'HEAD' ? undefined : reply);
    } catch (error) {
      if (error instanceof ErrorReply) sendError(response, error.answer, id);
      else response.destroy();
    }
  }

  #answer(
    { method, key, query }: SeenRequest,
    request: IncomingMessage,
    body: Buffer,
  ): Promise<Reply> | Reply {
    if (key === '') return this.#answerForBucket(method, query, body);
    if (Buffer.byteLength(key) > MAX_KEY_BYTES) throw new ErrorReply(400, 'KeyTooLongError');
    const upload = query.get('uploadId');
    switch (method) {
      case 'GET':
      case 'HEAD':
        return this.#read(key, request);
      case 'PUT':
        return upload === null
          ? this.#put(key, body, request)
          : this.#putPart(upload, Number(query.get('partNumber')), body);
      case 'POST':
        return upload === null
          ? this.#beginUpload(key)
          : this.#complete(key, upload, body, request);
      case 'DELETE':
        return upload === null ? this.#delete(key) : this.#abortUpload(upload);
    }
    throw new ErrorReply(405, 'MethodNotAllowed');
  }

  async #answerForBucket(method: string, query: URLSearchParams, body: Buffer): Promise<Reply> {
    const { settingsDenied, versioning, lifecycleRules } = this.quirks;
    const isSetting = query.has('versioning') || query.has('lifecycle');
    if (isSetting && settingsDenied) throw new ErrorReply(403, 'AccessDenied');
    if (query.has('versioning'))
      return { body: xml('VersioningConfiguration', { Status: versioning }) };
    if (query.has('lifecycle')) {
      if (lifecycleRules === undefined) throw new ErrorReply(404, 'NoSuchLifecycleConfiguration');
      return { body: xml('LifecycleConfiguration', { Rule: lifecycleRules }) };
    }
    if (method === 'POST' && query.has('delete')) {
      const keys = texts(body.toString(), 'Key');
      if (keys.length === 0 || keys.length > MAX_DELETE_KEYS)
        throw new ErrorReply(400, 'MalformedXML');
      await this.store.delete(keys);
      return { body: xml('DeleteResult', {}) };
    }
    return this.#list(query);
  }

  async #list(query: URLSearchParams): Promise<Reply> {
    const limit = Math.min(MAX_LISTED_OBJECTS, Number(query.get('max-keys') ?? MAX_LISTED_OBJECTS));
    const after = query.get('start-after');
    const page = await this.store.list(query.get('prefix') ?? '', {
      limit,
      ...(after !== null && { after }),
    });
    const isEncoded = query.get('encoding-type') === 'url';
    const Contents = page.objects.map(({ key, etag, size, lastModified }) => ({
      Key: isEncoded ? encodeURIComponent(key).replaceAll('%2F', '/').replaceAll('%20', '+') : key,
      LastModified: new Date(lastModified).toISOString(),
      ETag: etag,
      Size: size,
    }));
    const EncodingType = isEncoded ? 'url' : undefined;
    return {
      body: xml('ListBucketResult', { IsTruncated: page.isTruncated, EncodingType, Contents }),
    };
  }

  async #read(key: string, request: IncomingMessage): Promise<Reply> {
    const object = await this.store.get(key);
    if (object === undefined && this.quirks.missingKeyDenied)
      throw new ErrorReply(403, 'AccessDenied');
    if (object === undefined) throw new ErrorReply(404, 'NoSuchKey');
    const ifMatch = request.headers['if-match'];
    if (ifMatch !== undefined && ifMatch !== object.etag)
      throw new ErrorReply(412, 'PreconditionFailed');
    const { body, etag, lastModified } = object;
    const headers: Record<string, string> = {
      ETag: etag,
      'Last-Modified': new Date(lastModified).toUTCString(),
    };
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const [start, end] =
      range === null
        ? [0, body.length]
        : [Number(range[1]), Math.min(body.length, Number(range[2]) + 1)];
    if (range !== null && start >= body.length) throw new ErrorReply(416, 'InvalidRange');
    if (range !== null) headers['Content-Range'] = `bytes ${start}-${end - 1}/${body.length}`;
    else if (request.headers['x-amz-checksum-mode'] === 'ENABLED')
      headers['x-amz-checksum-crc32'] = crc32Base64(body);
    const sent = Buffer.from(body.subarray(start, end));
    if (this.quirks.flipsBits && sent.length > 0) sent[0] = (sent[0] as number) ^ 1;
    return { status: range === null ? 200 : 206, headers, body: sent };
  }

  async #put(key: string, body: Buffer, request: IncomingMessage): Promise<Reply> {
    const etag = await this.#store(key, body, request, false);
    const { versioning } = this.quirks;
    const version = versioning === 'Enabled' ? randomUUID() : 'null';
    return {
      headers: {
        ETag: etag,
        'x-amz-checksum-crc32': crc32Base64(body),
        ...(versioning !== undefined && { 'x-amz-version-id': version }),
      },
    };
  }

  /** Stores under the condition that the request has, as far as this service honours it. */
  async #store(
    key: string,
    body: Buffer,
    { headers }: IncomingMessage,
    isInParts: boolean,
  ): Promise<string> {
    const { quirks, store } = this;
    let condition: PutCondition = { kind: 'any' };
    const honours = !(isInParts && quirks.ignoresConditionsOfParts);
    if (headers['if-none-match'] !== undefined && honours && !quirks.ignoresIfNoneMatch)
      condition = { kind: 'absent' };
    const etag = headers['if-match'];
    if (etag !== undefined && honours && !quirks.ignoresIfMatch) {
      const head: ObjectHead | undefined = await store.head(key);
      if (head === undefined && !quirks.ifMatchOnAbsentStores)
        throw new ErrorReply(404, 'NoSuchKey');
      if (quirks.quotedTagsNeverMatch && etag.startsWith('"'))
        throw new ErrorReply(412, 'PreconditionFailed');
      if (head !== undefined) condition = { kind: 'match', etag };
    }
    const result = await store.put(key, body, condition);
    if (result.outcome !== 'stored') throw new ErrorReply(412, 'PreconditionFailed');
    return result.etag;
  }

  async #delete(key: string): Promise<Reply> {
    await this.store.delete([key]);
    return { status: 204 };
  }

  #beginUpload(Key: string): Reply {
    const UploadId = randomUUID();
    this.uploads.set(UploadId, new Map());
    return { body: xml('InitiateMultipartUploadResult', { Bucket: this.bucket, Key, UploadId }) };
  }

  #putPart(upload: string, number: number, body: Buffer): Reply {
    if (!(number >= 1 && number <= MAX_PARTS)) throw new ErrorReply(400, 'InvalidArgument');
    this.#parts(upload).set(number, body);
    return {
      headers: {
        ETag: `"${createHash('md5').update(body).digest('hex')}"`,
        'x-amz-checksum-crc32': crc32Base64(body),
      },
    };
  }

  async #complete(
    Key: string,
    upload: string,
    body: Buffer,
    request: IncomingMessage,
  ): Promise<Reply> {
    const parts = this.#parts(upload);
    const numbers = texts(body.toString(), 'PartNumber').map(Number);
    const bodies = numbers.map((number) => parts.get(number));
    if (numbers.length === 0) throw new ErrorReply(400, 'MalformedXML');
    if (bodies.some((part) => part === undefined)) throw new ErrorReply(400, 'InvalidPart');
    if (numbers.some((number, at) => number <= (numbers[at - 1] ?? 0)))
      throw new ErrorReply(400, 'InvalidPartOrder');
    const { minPartBytes = 5 * 1024 * 1024 } = this.quirks;
    const isSmall = (part: Buffer | undefined) => (part?.length ?? 0) < minPartBytes;
    if (bodies.slice(0, -1).some(isSmall)) throw new ErrorReply(400, 'EntityTooSmall');
    const etag = await this.#store(Key, Buffer.concat(bodies as Buffer[]), request, true);
    this.uploads.delete(upload);
    return { body: xml('CompleteMultipartUploadResult', { Bucket: this.bucket, Key, ETag: etag }) };
  }

  #abortUpload(upload: string): Reply {
    this.#parts(upload);
    this.uploads.delete(upload);
    return { status: 204 };
  }

  #parts(upload: string): Map<number, Buffer> {
    const parts = this.uploads.get(upload);
    if (parts === undefined) throw new ErrorReply(404, 'NoSuchUpload');
    return parts;
  }
}

function sendError(
  response: ServerResponse,
  { status, code, headers, details }: ErrorAnswer,
  id: string,
): void {
  // Messages are empty on some services: nothing may depend on them.
  const body =
    code === undefined ? '' : xml('Error', { Code: code, Message: '', RequestId: id, ...details });
  const isBodiless = response.req.method === 'HEAD';
  response.writeHead(status, {
    'x-amz-request-id': id,
    'Content-Length': isBodiless ? 0 : Buffer.byteLength(body),
    ...headers,
  });
  response.end(isBodiless ? undefined : body);
}

/**
 * Returns the decoded body. @throws `ErrorReply` if it does not match a checksum of the request.
 */
function checkedBody({ headers }: IncomingMessage, received: Buffer): Buffer {
  const isChunked = headers['content-encoding']?.includes('aws-chunked') ?? false;
  const { body, trailers } = isChunked
    ? decodeAwsChunked(received)
    : { body: received, trailers: {} as Record<string, string> };
  const crc = headers['x-amz-checksum-crc32'] ?? trailers['x-amz-checksum-crc32'];
  if (crc !== undefined && crc !== crc32Base64(body)) throw new ErrorReply(400, 'BadDigest');
  return body;
}

function crc32Base64(body: Uint8Array): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return bytes.toString('base64');
}
