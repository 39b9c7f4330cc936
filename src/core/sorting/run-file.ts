import { hash } from 'node:crypto';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { VarveError } from '../errors.ts';
import type { TemporaryFolder } from './temporary-folder.ts';

/** Bytes of lines per block, roughly: what a reader of the run has in memory. */
const BLOCK_BYTES = 64 * 1024;

/** Blocks written before others get a turn. */
const BLOCKS_PER_TURN = 16;

/** The first 16 bytes of a SHA-256. */
const DIGEST_BYTES = 16;
const LENGTH_BYTES = 4;
const HEADER_BYTES = DIGEST_BYTES + LENGTH_BYTES;

/** Sorted lines in a file, and what its reader has to find there. */
export interface Run {
  readonly file: string;
  /** Names the run and whom it belongs to: every block's digest covers it. */
  readonly name: string;
  readonly blocks: number;
  readonly lines: number;
  readonly first: string;
  readonly last: string;
}

/**
 * Writes a run: blocks of a digest, a length and lines. A digest covers the name of the run, the
 * number of the block, and the lines, so that no other block is taken for this one.
 */
export async function writeRun(
  folder: TemporaryFolder,
  file: string,
  name: string,
  lines: Iterable<string>,
): Promise<Run> {
  const descriptor = folder.use(() => openSync(file, 'wx', 0o600));
  try {
    let blocks = 0;
    let first: string | undefined;
    let last = '';
    let count = 0;
    let block: string[] = [];
    let bytes = 0;
    const flush = () => {
      folder.use(() => writeAll(descriptor, encodeBlock(name, blocks, block)));
      blocks++;
      block = [];
      bytes = 0;
    };
    for (const line of lines) {
      block.push(line);
      bytes += line.length + 1;
      first ??= line;
      last = line;
      count++;
      if (bytes < BLOCK_BYTES) continue;
      flush();
      if (blocks % BLOCKS_PER_TURN === 0) await nextTurn();
    }
    if (block.length > 0) flush();
    return { file, name, blocks, lines: count, first: first ?? '', last };
  } finally {
    closeSync(descriptor);
  }
}

/**
 * The lines of a run.
 *
 * @throws `IO` when the file is not what was written.
 */
export function* readRun(folder: TemporaryFolder, run: Run): Generator<string, void, undefined> {
  const { file, name, blocks } = run;
  let position = 0;
  let lines = 0;
  let first: string | undefined;
  let last = '';
  for (let number = 0; number < blocks; number++) {
    const block = folder.use(() => readBlock(file, position));
    const payload = block?.subarray(DIGEST_BYTES + LENGTH_BYTES);
    if (block === undefined || !digest(name, number, payload as Buffer).equals(digestOf(block)))
      throw damaged(file);
    position += block.length;
    for (const line of (payload as Buffer).toString('latin1').split('\n')) {
      first ??= line;
      last = line;
      lines++;
      yield line;
    }
  }
  if (lines !== run.lines || (first ?? '') !== run.first || last !== run.last) throw damaged(file);
}

function encodeBlock(name: string, number: number, lines: readonly string[]): Buffer {
  const payload = Buffer.from(lines.join('\n'), 'latin1');
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(payload.length);
  return Buffer.concat([digest(name, number, payload), length, payload]);
}

function digest(name: string, number: number, payload: Buffer): Buffer {
  const whole = Buffer.concat([Buffer.from(`${name} ${number}\n`), payload]);
  return (hash('sha256', whole, 'buffer') as Buffer).subarray(0, DIGEST_BYTES);
}

function digestOf(block: Buffer): Buffer {
  return block.subarray(0, DIGEST_BYTES);
}

/** A block with its header; `undefined` when the file ends before it does. */
function readBlock(file: string, position: number): Buffer | undefined {
  // A merge reads more runs than a process may have files open.
  const descriptor = openSync(file, 'r');
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    if (readSync(descriptor, header, 0, HEADER_BYTES, position) < HEADER_BYTES) return undefined;
    const length = header.readUInt32LE(DIGEST_BYTES);
    // A damaged length must not take all memory.
    if (length > 2 * BLOCK_BYTES) return undefined;
    const block = Buffer.alloc(HEADER_BYTES + length);
    const read = readSync(descriptor, block, 0, block.length, position);
    return read < block.length ? undefined : block;
  } finally {
    closeSync(descriptor);
  }
}

function writeAll(descriptor: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
}

function damaged(file: string): VarveError {
  return new VarveError(
    'IO',
    `the temporary file ${file} is damaged: nothing was concluded from it`,
  );
}
