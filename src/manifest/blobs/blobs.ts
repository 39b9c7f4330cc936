import type { Backend } from '../../backends/contract/backend.ts';
import {
  ABORT_OPTIONS,
  DELETE_OPTIONS,
  type DeleteOptions,
  type ListFilter,
  MAX_NAME_BYTES,
  type ManifestHead,
  type ManifestKey,
  type PutWrite,
  type StoredManifest,
} from '../../backends/contract/manifests.ts';
import { whileOpen } from '../../backends/contract/while-open.ts';
import { type AbortOptions, throwIfAborted } from '../../core/abort.ts';
import { checkText } from '../../core/arguments.ts';
import { type ByteSource, piecesOf } from '../../core/byte-source.ts';
import { isVarveError, VarveError } from '../../core/errors.ts';
import { lostContent, nameOf } from '../content/lost-content.ts';
import { type BlobLayout, BlobRange, isUnchanged, layoutOf } from './blob-content.ts';
import {
  BLOB_FILTER,
  type BlobContent,
  type BlobFilter,
  type BlobHead,
  type BlobReceipt,
  type BlobStat,
  GET_BLOB_OPTIONS,
  type GetBlobOptions,
  PUT_BLOB_OPTIONS,
  type PutBlobOptions,
} from './blob-options.ts';
import { BlobUpload } from './blob-upload.ts';

/**
 * Named byte streams of any size, such as files. Content-defined chunks (`BLOB_CHUNKS`) let
 * versions of a file share what they have in common. Memory use does not depend on a blob's size,
 * apart from about 16 bytes per chunk of 74 KiB.
 *
 * Every method may throw errors of the store: `CLOSED`, `ABORTED`, `READ_ONLY`, `NO_SPACE`, `BUSY`,
 * `UNAVAILABLE`.
 */
export class Blobs {
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /**
   * Stores the bytes of `source` under a name of 1 to 512 bytes of UTF-8. Nothing is visible until
   * all bytes are stored.
   *
   * ```ts
   * import { createReadStream } from 'node:fs';
   *
   * const options = { contentType: 'application/pdf', ifExists: 'replace' } as const;
   * await store.blobs.put('report.pdf', createReadStream('report.pdf'), options);
   * ```
   *
   * @throws `ALREADY_EXISTS`, `CONFLICT` (see the options), `INVALID_ARGUMENT`; what `source`
   *   throws.
   */
  async put(name: string, source: ByteSource, options?: PutBlobOptions): Promise<BlobReceipt> {
    const given = PUT_BLOB_OPTIONS.read('blobs.put', options);
    const { ifExists, ifRevision, signal, contentType, application, expiresAt } = given;
    throwIfAborted(signal);
    for (const [what, text] of Object.entries({ contentType, application })) {
      if (text !== undefined) checkText(what, text, { least: 0, most: MAX_NAME_BYTES });
    }
    const write: Omit<PutWrite, 'entries' | 'fields'> = {
      operation: 'put',
      key: keyOf(name),
      ifExists,
      ...(ifRevision !== undefined && { ifRevision }),
    };
    const upload = new BlobUpload(piecesOf(source, signal), contentType);
    const fields = () => ({
      logicalBytes: upload.end.bytes,
      ...(application !== undefined && { application }),
      ...(expiresAt !== undefined && { expiresAt }),
    });
    const outcome = await this.#backend.publish(write, upload.entries(), fields, { signal });
    if (outcome.status === 'failed') throw outcome.error;
    const { bytes, sha256 } = upload.end;
    const { status, revision, newSegments, newBytes } = outcome;
    return { name, status, revision, bytes, sha256, newSegments, newBytes } as BlobReceipt;
  }

  /**
   * Returns the bytes of a blob, or of a range of it; `undefined` when no blob has that name.
   * Verifies every chunk against its address, and a whole blob against its SHA-256 before it hands
   * out the last piece. Iterating throws `CONFLICT` when the blob was replaced or deleted meanwhile
   * and its chunks were collected.
   *
   * ```ts
   * const report = await store.blobs.get('report.pdf', { start: 0, end: 1024 });
   * if (report !== undefined) for await (const piece of report) process.stdout.write(piece);
   * ```
   *
   * @throws `INVALID_ARGUMENT` when the range is invalid or starts behind the end; `CORRUPT`;
   *   `UNSUPPORTED_FORMAT`.
   */
  async get(name: string, options?: GetBlobOptions): Promise<BlobContent | undefined> {
    const { start: from, end: to, ...abort } = GET_BLOB_OPTIONS.read('blobs.get', options);
    for (;;) {
      const manifest = await this.#read(name, abort);
      if (!manifest) return undefined;
      const layout = layoutOf(manifest);
      const { start, end } = checkRange(name, layout.bytes, from, to);
      const range = new BlobRange(this.#backend, layout, start, end, abort);
      try {
        let first = await range.first();
        const iterate = () => {
          const window = first;
          first = undefined;
          return whileOpen(this.#backend, range.bytes(window));
        };
        return { stat: statOf(layout), start, end, [Symbol.asyncIterator]: iterate };
      } catch (error) {
        if (!isVarveError(error, 'NOT_FOUND')) throw error;
        if (await isUnchanged(this.#backend, manifest, abort))
          throw lostContent(manifest.key, error);
      }
    }
  }

  /**
   * Describes a blob without reading its bytes; `undefined` when no blob has that name.
   *
   * ```ts
   * const { bytes, sha256 } = (await store.blobs.stat('report.pdf')) ?? {};
   * ```
   */
  async stat(name: string, options?: AbortOptions): Promise<BlobStat | undefined> {
    const manifest = await this.#read(name, ABORT_OPTIONS.read('blobs.stat', options));
    return manifest && statOf(layoutOf(manifest));
  }

  /**
   * Lists the blobs that pass the filter, by default in the order in which they were first put.
   *
   * ```ts
   * for await (const { name, bytes } of store.blobs.list({ order: 'newest' })) {
   *   console.log(name, bytes);
   * }
   * ```
   *
   * @throws `INVALID_ARGUMENT` at the call.
   */
  list(filter?: BlobFilter): AsyncGenerator<BlobHead, void, undefined> {
    const { signal, ...rest } = BLOB_FILTER.read('blobs.list', filter);
    return this.#list(rest, { signal });
  }

  async *#list(filter: ListFilter, abort: AbortOptions): AsyncGenerator<BlobHead, void, undefined> {
    for await (const head of this.#backend.list('blob', filter, abort)) yield blobHead(head);
  }

  /**
   * Deletes a blob. Returns whether there was one: deleting again is not an error.
   *
   * ```ts
   * const wasThere = await store.blobs.delete('report.pdf');
   * ```
   *
   * @throws `CONFLICT` when `ifRevision` is given and is not the stored revision.
   */
  async delete(name: string, options?: DeleteOptions): Promise<boolean> {
    const { ifRevision, ...abort } = DELETE_OPTIONS.read('blobs.delete', options);
    const write = {
      operation: 'delete',
      key: keyOf(name),
      ...(ifRevision !== undefined && { ifRevision }),
    } as const;
    const [outcome] = await this.#backend.commit([write], abort);
    if (outcome?.status === 'failed') throw outcome.error;
    return outcome?.status === 'deleted';
  }

  async #read(name: string, abort: AbortOptions): Promise<StoredManifest | undefined> {
    const [manifest] = await this.#backend.read([keyOf(name)], abort);
    return manifest;
  }
}

function keyOf(name: string): ManifestKey {
  return { kind: 'blob', id: name };
}

function checkRange(
  name: string,
  bytes: number,
  start: number,
  end = bytes,
): { start: number; end: number } {
  if (start > end || start > bytes) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `no range of ${nameOf(keyOf(name))}, which has ${bytes} bytes: from ${start} to ${end}`,
    );
  }
  return { start, end: Math.min(end, bytes) };
}

function blobHead(head: ManifestHead): BlobHead {
  return {
    name: head.key.id,
    bytes: head.logicalBytes,
    revision: head.revision,
    ...(head.application !== undefined && { application: head.application }),
    createdAt: head.createdAt,
    updatedAt: head.updatedAt,
    ...(head.expiresAt !== undefined && { expiresAt: head.expiresAt }),
  };
}

function statOf({ manifest, bytes, sha256, contentType, locators }: BlobLayout): BlobStat {
  return {
    ...blobHead(manifest),
    bytes,
    sha256,
    ...(contentType !== undefined && { contentType }),
    chunks: locators.length,
  };
}
