import { VarveError } from '../../core/errors.ts';
import { LINE_FEED as NEWLINE_ONLY } from '../content/body.ts';

/**
 * Longest record of a JSONL file, in bytes, including the blank space after it. Records are read
 * into memory whole.
 */
export const MAX_RECORD_BYTES = 1024 * 1024 * 1024;

/** Memory per batch of records. */
const BATCH_BYTES = 8 * 1024 * 1024;

/** One record of a JSONL file: a line without the white space around it. */
export interface JsonlRecord {
  readonly bytes: Buffer;
  /** All bytes between this record and the next one, or the end of the file. */
  readonly terminator: Buffer;
  /** Counts from 1. */
  readonly lineNumber: number;
  /** Offset of its first byte in the file. */
  readonly byteOffset: number;
}

/** Records that were read together: views of one buffer, which is never reused. */
export interface JsonlBatch {
  readonly records: readonly JsonlRecord[];
  /**
   * The bytes before the first record of the file (a byte order mark, blank lines); empty in later
   * batches.
   */
  readonly lead: Buffer;
}

const LINE_FEED = 0x0a;

/**
 * Splits a stream of bytes into records. Byte order marks before a record count as white space.
 * Memory holds no more than a batch and the longest record.
 *
 * @param batchBytes - how much to read per batch
 * @throws `TOO_LARGE` with the line number when a record is longer than {@link MAX_RECORD_BYTES}.
 */
export async function* readJsonl(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { batchBytes = BATCH_BYTES, maxRecordBytes = MAX_RECORD_BYTES } = {},
): AsyncGenerator<JsonlBatch, void, undefined> {
  const splitter = new RecordSplitter(batchBytes, maxRecordBytes);
  for await (const chunk of source) {
    for (let taken = 0; taken < chunk.length; ) {
      taken += splitter.take(chunk, taken);
      if (!splitter.full) continue;
      const batch = splitter.split(false);
      if (batch !== undefined) yield batch;
    }
  }
  const batch = splitter.split(true);
  if (batch !== undefined) yield batch;
}

class RecordSplitter {
  readonly #batchBytes: number;
  readonly #maxRecordBytes: number;
  #buffer: Buffer;
  #length = 0;
  /** How far the incomplete record has been searched for its end. */
  #searched = 0;
  #lineNumber = 1;
  /** Offset of the buffer's first byte in the file. */
  #byteOffset = 0;
  #first = true;

  constructor(batchBytes: number, maxRecordBytes: number) {
    this.#batchBytes = batchBytes;
    this.#maxRecordBytes = maxRecordBytes;
    this.#buffer = Buffer.allocUnsafeSlow(batchBytes);
  }

  get full(): boolean {
    return this.#length === this.#buffer.length;
  }

  /** Copies what fits; returns the number of bytes copied. */
  take(chunk: Uint8Array, from: number): number {
    const count = Math.min(chunk.length - from, this.#buffer.length - this.#length);
    this.#buffer.set(
      from === 0 && count === chunk.length ? chunk : chunk.subarray(from, from + count),
      this.#length,
    );
    this.#length += count;
    return count;
  }

  /**
   * Returns the complete records and keeps the rest for the next batch. `undefined` when no record
   * is complete: read on.
   */
  split(atEnd: boolean): JsonlBatch | undefined {
    const buffer = this.#buffer.subarray(0, this.#length);
    const records: JsonlRecord[] = [];
    let lineNumber = this.#lineNumber;
    let lead = buffer.subarray(0, 0);
    let start = 0;
    if (this.#first) {
      start = nextRecord(buffer, 0, atEnd);
      if (start < 0) return this.#readOn();
      lead = buffer.subarray(0, start);
      lineNumber += lineFeeds(lead);
    }
    while (start < buffer.length) {
      const lineFeed = buffer.indexOf(LINE_FEED, Math.max(start, this.#searched));
      this.#searched = 0;
      if (lineFeed < 0 && !atEnd) {
        this.#searched = buffer.length;
        break;
      }
      const end = trimmedEnd(buffer, start, lineFeed < 0 ? buffer.length : lineFeed);
      const next = lineFeed < 0 ? buffer.length : nextRecord(buffer, lineFeed + 1, atEnd);
      if (next < 0) break;
      if (next - start > this.#maxRecordBytes) this.#tooLong(lineNumber);
      const terminator =
        next === end + 1 && lineFeed === end ? NEWLINE_ONLY : buffer.subarray(end, next);
      records.push({
        bytes: buffer.subarray(start, end),
        terminator,
        lineNumber,
        byteOffset: this.#byteOffset + start,
      });
      lineNumber += terminator === NEWLINE_ONLY ? 1 : lineFeeds(terminator);
      start = next;
    }
    if (records.length === 0 && !atEnd) return this.#readOn();
    this.#first = false;
    this.#lineNumber = lineNumber;
    this.#byteOffset += start;
    this.#searched = Math.max(0, this.#searched - start);
    this.#length = buffer.length - start;
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(this.#batchBytes, this.#length * 2));
    this.#buffer.set(buffer.subarray(start));
    return records.length === 0 ? undefined : { records, lead };
  }

  #readOn(): undefined {
    if (this.#length > this.#maxRecordBytes) this.#tooLong(this.#lineNumber);
    const grown = Buffer.allocUnsafeSlow(this.#length * 2);
    grown.set(this.#buffer);
    this.#buffer = grown;
  }

  #tooLong(lineNumber: number): never {
    throw new VarveError(
      'TOO_LARGE',
      `line ${lineNumber}: a record with the blank space after it may have at most ` +
        `${this.#maxRecordBytes} bytes; is this a JSONL file?`,
    );
  }
}

/**
 * Where the next record begins, given that a line begins at `from`; −1 when bytes still to come
 * decide that.
 */
function nextRecord(buffer: Buffer, from: number, atEnd: boolean): number {
  for (let at = from; at < buffer.length; at++) {
    const byte = buffer[at];
    if (isSpace(byte)) continue;
    if (byte !== 0xef) return at;
    if (at + 2 >= buffer.length && !atEnd) return -1;
    if (buffer[at + 1] !== 0xbb || buffer[at + 2] !== 0xbf) return at;
    at += 2;
  }
  return atEnd ? buffer.length : -1;
}

function trimmedEnd(buffer: Buffer, start: number, end: number): number {
  let at = end;
  while (at > start && isSpace(buffer[at - 1])) at--;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === LINE_FEED;
}

function lineFeeds(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, at + 1)) count++;
  return count;
}
