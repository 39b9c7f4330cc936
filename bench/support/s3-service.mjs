/**
 * A service that speaks as much of S3 as Varve needs, for command lines: it counts requests, and
 * answers each only after a latency. Nothing is checked: signatures, checksums, names of buckets.
 */
import { createServer } from 'node:http';
import { crc32 } from 'node:zlib';
import { ObjectTable } from './object-table.mjs';

/** @typedef {import('node:http').IncomingMessage} Request */
/**
 * @typedef {object} Reply
 * @property {number} [status] default: 200
 * @property {Record<string, string>} [headers]
 * @property {string | Uint8Array} [body]
 */

/** What a command line needs to reach the service. */
export const S3_ENVIRONMENT = {
  AWS_ACCESS_KEY_ID: 'bench',
  AWS_SECRET_ACCESS_KEY: 'bench',
  AWS_REGION: 'bench',
  AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
};

export class S3Service {
  table = new ObjectTable();
  /** Added to every answer. */
  latencyMs = 0;
  /** Requests since the last reset, as `VERB kind-of-object`. */
  requests = /** @type {string[]} */ ([]);
  bytesUp = 0;
  /** @type {Map<string, Map<number, Buffer>>} */
  #uploads = new Map();
  #server = createServer((request, response) => {
    void this.#serve(request).then(async ({ status = 200, headers = {}, body = '' }) => {
      if (this.latencyMs > 0) await new Promise((done) => setTimeout(done, this.latencyMs));
      response.writeHead(status, { 'Content-Length': Buffer.byteLength(body), ...headers });
      response.end(request.method === 'HEAD' ? undefined : body);
    });
  });

  /** Listens on a port of this machine. */
  async start() {
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve(undefined)));
    return this;
  }

  /** The location of a store in it. */
  get location() {
    const address = /** @type {import('node:net').AddressInfo} */ (this.#server.address());
    return `s3://bucket/store?endpoint=http://127.0.0.1:${address.port}`;
  }

  reset() {
    this.requests = [];
    this.bytesUp = 0;
  }

  stop() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /**
   * @param {Request} request
   * @returns {Promise<Reply>}
   */
  async #serve(request) {
    const url = new URL(request.url ?? '/', 'http://host');
    const [, , ...parts] = url.pathname.split('/').map(decodeURIComponent);
    const key = parts.join('/');
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = decoded(request, Buffer.concat(chunks));
    const query = url.searchParams;
    const kind = (key || query.get('prefix') || '').split('/')[1] ?? '';
    this.requests.push(`${verbOf(request, key, query)} ${kind}`);
    this.bytesUp += body.length;
    if (key === '') return this.#bucket(request, query, body);
    switch (request.method) {
      case 'PUT':
        return this.#put(key, request, query, body);
      case 'POST':
        return this.#upload(key, request, query, body);
      case 'DELETE':
        this.table.delete(key);
        return { status: 204 };
      default:
        return this.#get(key, request);
    }
  }

  /**
   * @param {Request} request
   * @param {URLSearchParams} query
   * @param {Buffer} body
   * @returns {Reply}
   */
  #bucket({ method }, query, body) {
    if (query.has('versioning')) return { body: '<VersioningConfiguration/>' };
    if (query.has('lifecycle')) return failure(404, 'NoSuchLifecycleConfiguration');
    if (method === 'POST') {
      for (const [, key = ''] of body.toString().matchAll(/<Key>([^<]*)<\/Key>/g))
        this.table.delete(key.replaceAll('&amp;', '&'));
      return { body: '<DeleteResult/>' };
    }
    const limit = Number(query.get('max-keys') ?? 1000);
    const after = query.get('start-after') ?? '';
    const { keys, isTruncated } = this.table.list(query.get('prefix') ?? '', after, limit);
    const rows = keys.map((key) => {
      const { etag, lastModified, body } = stored(this.table, key);
      const time = new Date(lastModified).toISOString();
      const name = encodeURIComponent(key).replaceAll('%2F', '/');
      return (
        `<Contents><Key>${name}</Key><LastModified>${time}</LastModified>` +
        `<ETag>${etag}</ETag><Size>${body.length}</Size></Contents>`
      );
    });
    const head = `<IsTruncated>${isTruncated}</IsTruncated><EncodingType>url</EncodingType>`;
    return { body: `<ListBucketResult>${head}${rows.join('')}</ListBucketResult>` };
  }

  /**
   * @param {string} key
   * @param {Request} request
   * @returns {Reply}
   */
  #get(key, { headers: asked }) {
    const found = this.table.get(key);
    if (found === undefined) return failure(404, 'NoSuchKey');
    const { body, etag, lastModified } = found;
    const headers = { ETag: etag, 'Last-Modified': new Date(lastModified).toUTCString() };
    const range = /^bytes=(\d+)-(\d+)$/.exec(asked.range ?? '');
    if (range === null) return { headers: { ...headers, ...checksum(body) }, body };
    const [from, to] = [Number(range[1]), Math.min(body.length, Number(range[2]) + 1)];
    if (from >= body.length) return failure(416, 'InvalidRange');
    const position = { 'Content-Range': `bytes ${from}-${to - 1}/${body.length}` };
    return { status: 206, headers: { ...headers, ...position }, body: body.subarray(from, to) };
  }

  /**
   * @param {string} key
   * @param {Request} request
   * @param {URLSearchParams} query
   * @param {Buffer} body
   * @returns {Reply}
   */
  #put(key, { headers }, query, body) {
    const parts = this.#uploads.get(query.get('uploadId') ?? '');
    if (parts !== undefined) {
      const number = Number(query.get('partNumber'));
      parts.set(number, body);
      return { headers: { ETag: `"${number}"`, ...checksum(body) } };
    }
    const { condition, isAbsent } = conditionOf(headers, this.table.get(key) !== undefined);
    if (isAbsent) return failure(404, 'NoSuchKey');
    const etag = this.table.put(key, body, condition);
    if (etag === undefined) return failure(412, 'PreconditionFailed');
    return { headers: { ETag: etag, ...checksum(body) } };
  }

  /**
   * Begins or completes an upload in parts.
   *
   * @param {string} key
   * @param {Request} request
   * @param {URLSearchParams} query
   * @param {Buffer} body
   * @returns {Reply}
   */
  #upload(key, request, query, body) {
    const id = query.get('uploadId');
    if (id === null) {
      const begun = `upload-${this.requests.length}-${Date.now()}`;
      this.#uploads.set(begun, new Map());
      return {
        body: `<InitiateMultipartUploadResult><UploadId>${begun}</UploadId></InitiateMultipartUploadResult>`,
      };
    }
    const parts = this.#uploads.get(id);
    if (parts === undefined) return failure(404, 'NoSuchUpload');
    const numbers = [...body.toString().matchAll(/<PartNumber>(\d+)</g)].map(([, at]) =>
      Number(at),
    );
    const whole = Buffer.concat(numbers.map((at) => parts.get(at) ?? Buffer.alloc(0)));
    const { status, headers } = this.#put(key, request, new URLSearchParams(), whole);
    if (status !== undefined) return failure(status, 'PreconditionFailed');
    this.#uploads.delete(id);
    const tag = headers?.['ETag'];
    return {
      body: `<CompleteMultipartUploadResult><ETag>${tag}</ETag></CompleteMultipartUploadResult>`,
    };
  }
}

/**
 * @param {ObjectTable} table
 * @param {string} key
 */
function stored(table, key) {
  return /** @type {import('./object-table.mjs').Stored} */ (table.get(key));
}

/**
 * @param {Request} request
 * @param {string} key
 * @param {URLSearchParams} query
 */
function verbOf({ method = '' }, key, query) {
  if (key !== '') return method === 'POST' ? 'PUT' : method;
  if (query.has('versioning') || query.has('lifecycle')) return 'GET';
  return method === 'POST' ? 'DELETE' : 'LIST';
}

/**
 * @param {import('node:http').IncomingHttpHeaders} headers
 * @param {boolean} isThere
 * @returns {{ condition: import('./object-table.mjs').PutCondition, isAbsent?: boolean }}
 */
function conditionOf(headers, isThere) {
  if (headers['if-none-match'] !== undefined) return { condition: { kind: 'absent' } };
  const etag = headers['if-match'];
  if (etag === undefined) return { condition: { kind: 'any' } };
  return { condition: { kind: 'match', etag }, isAbsent: !isThere };
}

/**
 * @param {number} status
 * @param {string} code
 * @returns {Reply}
 */
function failure(status, code) {
  return { status, body: `<Error><Code>${code}</Code><Message/></Error>` };
}

/** @param {Uint8Array} body */
function checksum(body) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return { 'x-amz-checksum-crc32': bytes.toString('base64') };
}

/**
 * The body without `Content-Encoding: aws-chunked`.
 *
 * @param {Request} request
 * @param {Buffer} body
 */
function decoded({ headers }, body) {
  if (!headers['content-encoding']?.includes('aws-chunked')) return body;
  const chunks = [];
  for (let at = 0; ; ) {
    const end = body.indexOf('\r\n', at);
    const length = Number.parseInt(body.toString('latin1', at, end), 16);
    if (!(length > 0)) return Buffer.concat(chunks);
    chunks.push(body.subarray(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
}
