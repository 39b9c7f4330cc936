import { ByteReader, ByteWriter } from '../../cas/codec/varint.ts';
import { VarveError } from '../../core/errors.ts';

/**
 * The bodies of a blob's entries, format 1. Every entry references its chunks, in order, as `bytes`
 * segments; the last one ends the blob and may have no chunks.
 *
 * ```
 * byte     format version: 1
 * byte     0: more entries follow; 1: this is the last
 * varint   number of chunks, equal to the number of segments referenced
 * varint   length of each chunk in bytes, at least 1
 * -- in the last entry only:
 * varint   length of the whole blob in bytes
 * 32 bytes SHA-256 of the whole blob
 * varint   length of the content type in bytes of UTF-8; 0: none
 * bytes    the content type
 * ```
 */
export interface BlobEntry {
  readonly lengths: readonly number[];
  readonly end: BlobEnd | undefined;
}

export interface BlobEnd {
  readonly bytes: number;
  /** 64 lower-case hex digits. */
  readonly sha256: string;
  readonly contentType: string | undefined;
}

const FORMAT = 1;
const SHA256_BYTES = 32;

export function encodeBlobEntry({ lengths, end }: BlobEntry): Uint8Array {
  const writer = new ByteWriter();
  writer.varint(FORMAT);
  writer.varint(end ? 1 : 0);
  writer.varint(lengths.length);
  for (const length of lengths) writer.varint(length);
  if (end) {
    writer.varint(end.bytes);
    writer.hex(end.sha256);
    writer.text(end.contentType ?? '');
  }
  return writer.finish();
}

/**
 * Decodes what {@link encodeBlobEntry} wrote.
 *
 * @param what names the entry in errors.
 * @throws `CORRUPT` when it is damaged, `UNSUPPORTED_FORMAT` when a newer Varve wrote it.
 */
export function decodeBlobEntry(body: Uint8Array, what: string): BlobEntry {
  const reader = new ByteReader(body, what);
  const format = reader.varint();
  if (format !== FORMAT) {
    throw new VarveError(
      'UNSUPPORTED_FORMAT',
      `${what} has format ${format}; this Varve knows ${FORMAT}: upgrade it`,
    );
  }
  const flag = reader.varint();
  const count = reader.varint();
  if (flag > 1 || count > reader.remaining) throw damaged(what);
  const lengths = Array.from({ length: count }, () => reader.varint());
  if (lengths.includes(0)) throw damaged(what);
  const end = flag === 1 ? readEnd(reader) : undefined;
  reader.end();
  return { lengths, end };
}

function readEnd(reader: ByteReader): BlobEnd {
  const bytes = reader.varint();
  const sha256 = reader.hex(SHA256_BYTES);
  const contentType = reader.text();
  return { bytes, sha256, contentType: contentType === '' ? undefined : contentType };
}

function damaged(what: string): VarveError {
  return new VarveError('CORRUPT', `${what} is damaged`);
}
