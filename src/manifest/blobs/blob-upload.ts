import { createHash } from 'node:crypto';
import type { NewEntry } from '../../backends/contract/manifests.ts';
import { BLOB_CHUNKS, Chunker } from '../../cas/chunker.ts';
import { addressOf } from '../../core/address.ts';
import { VarveError } from '../../core/errors.ts';
import { type BlobEnd, encodeBlobEntry } from './blob-body.ts';

/**
 * An entry ends with the chunk that reaches this many bytes: a 10 GB blob has about 2,500 entries.
 */
const ENTRY_BYTES = 4 * 1024 * 1024;

/** A source while it is being stored. */
export class BlobUpload {
  readonly #pieces: AsyncIterable<Uint8Array>;
  readonly #contentType: string | undefined;
  #end: BlobEnd | undefined;

  constructor(pieces: AsyncIterable<Uint8Array>, contentType: string | undefined) {
    this.#pieces = pieces;
    this.#contentType = contentType;
  }

  /** Length, digest and content type, known once all entries have ended. */
  get end(): BlobEnd {
    if (!this.#end)
      throw new VarveError('INTERNAL', 'the blob was published before its source ended');
    return this.#end;
  }

  async *entries(): AsyncGenerator<NewEntry, void, undefined> {
    const chunker = new Chunker(BLOB_CHUNKS);
    const hash = createHash('sha256');
    let bytes = 0;
    let pending: Uint8Array[] = [];
    let pendingBytes = 0;
    for await (const piece of this.#pieces) {
      hash.update(piece);
      bytes += piece.length;
      for (const chunk of chunker.push(piece)) {
        pending.push(chunk);
        pendingBytes += chunk.length;
        if (pendingBytes < ENTRY_BYTES) continue;
        yield entryOf(pending, undefined);
        pending = [];
        pendingBytes = 0;
      }
    }
    pending.push(...chunker.flush());
    this.#end = { bytes, sha256: hash.digest('hex'), contentType: this.#contentType || undefined };
    yield entryOf(pending, this.#end);
  }
}

function entryOf(chunks: readonly Uint8Array[], end: BlobEnd | undefined): NewEntry {
  return {
    body: encodeBlobEntry({ lengths: chunks.map(({ length }) => length), end }),
    segments: chunks.map((chunk) => ({
      address: addressOf(chunk),
      encoding: 'bytes',
      bytes: () => chunk,
    })),
  };
}
