import { closeSync, fstatSync, readSync } from 'node:fs';
import { isUnreadable } from '../../../core/errors.ts';
import { openFile } from '../files/plain-files.ts';
import {
  BLOCK_HEADER_BYTES,
  BLOCK_MAGIC,
  type BlockDirectory,
  decodeBlockDirectory,
  decodeBlockHeader,
} from '../format/block.ts';

/** Bytes searched at a time for the beginning of a block. */
const SEARCH_BYTES = 256 * 1024;

/** A complete block with a readable directory. */
export interface ScannedBlock {
  readonly start: number;
  readonly length: number;
  readonly directory: BlockDirectory;
}

/** Bytes, from `start` up to `end`, that do not form such a block. */
export interface Unreadable {
  readonly start: number;
  readonly end: number;
}

/** A pack that is read for its content, without an index. */
export class PackFile {
  readonly path: string;
  readonly #fd: number;

  /** @throws the file system's errors. */
  constructor(path: string) {
    this.path = path;
    this.#fd = openFile(path, 'read').fd;
  }

  get size(): number {
    return fstatSync(this.#fd).size;
  }

  /** Reads `length` bytes from `start`, or as many as there are. */
  read(start: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafeSlow(length);
    let filled = 0;
    while (filled < length) {
      const count = readSync(this.#fd, bytes, filled, length - filled, start + filled);
      if (count === 0) break;
      filled += count;
    }
    return bytes.subarray(0, filled);
  }

  /** Whether a block begins at `start` for which the file is too short. */
  isCutOff(start: number): boolean {
    const head = this.read(start, BLOCK_HEADER_BYTES);
    if (head.length < BLOCK_HEADER_BYTES) {
      return head.subarray(0, BLOCK_MAGIC.length).equals(BLOCK_MAGIC.subarray(0, head.length));
    }
    try {
      const { directoryBytes, frameBytes } = decodeBlockHeader(head, this.path);
      return start + BLOCK_HEADER_BYTES + directoryBytes + frameBytes > this.size;
    } catch (error) {
      if (isUnreadable(error)) return false;
      throw error;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Yields what lies from `start` up to `end`, in order: blocks, and what lies between them. */
  *scan(start: number, end: number): Generator<ScannedBlock | Unreadable, void, undefined> {
    let at = start;
    while (at < end) {
      const block = this.#blockAt(at, end);
      const next = block === undefined ? this.#nextBlock(at + 1, end) : at + block.length;
      yield block ?? { start: at, end: next };
      at = next;
    }
  }

  #blockAt(start: number, end: number): ScannedBlock | undefined {
    const what = `${this.path} at byte ${start}`;
    try {
      const { directoryBytes, frameBytes } = decodeBlockHeader(
        this.read(start, BLOCK_HEADER_BYTES),
        what,
      );
      const length = BLOCK_HEADER_BYTES + directoryBytes + frameBytes;
      if (start + length > end) return undefined;
      const head = this.read(start, BLOCK_HEADER_BYTES + directoryBytes);
      return { start, length, directory: decodeBlockDirectory(head, what) };
    } catch (error) {
      if (isUnreadable(error)) return undefined;
      throw error;
    }
  }

  /** Offset of the next possible block; `end` when there is none. */
  #nextBlock(from: number, end: number): number {
    for (let at = from; at < end; at += SEARCH_BYTES - BLOCK_MAGIC.length) {
      const found = this.read(at, Math.min(SEARCH_BYTES, end - at)).indexOf(BLOCK_MAGIC);
      if (found >= 0) return at + found;
      if (end - at <= SEARCH_BYTES) break;
    }
    return end;
  }
}

export function isBlock(found: ScannedBlock | Unreadable): found is ScannedBlock {
  return 'directory' in found;
}
