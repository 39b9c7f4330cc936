import { constants, createReadStream } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { addAbortSignal, type Readable } from 'node:stream';
import { VarveError } from '../../core/errors.ts';
import { fileError } from '../messages/file-error.ts';

/** Largest input of a command that reads one JSON document, in bytes: the longest string of V8. */
const MAX_DOCUMENT_BYTES = 0x1fffffe8;

/** A file named on the command line, or standard input as `-`. */
export interface Source {
  /** The name that messages use. */
  readonly name: string;
  /** In bytes; `undefined` for a pipe. */
  readonly size: number | undefined;
  /** Starts reading; the stream ends with an error once `signal` fires. */
  open(signal: AbortSignal): Readable;
}

/**
 * Finds what the command line names, without reading it.
 *
 * @throws `NOT_FOUND`, `DENIED`, `INVALID_ARGUMENT` (a directory).
 */
export async function findSource(path: string, stdin: Readable): Promise<Source> {
  if (path === '-') {
    return {
      name: '(standard input)',
      size: undefined,
      open: (signal) => addAbortSignal(signal, stdin),
    };
  }
  try {
    const stats = await stat(path);
    if (stats.isDirectory()) throw new VarveError('INVALID_ARGUMENT', `${path}: is a directory`);
    await access(path, constants.R_OK);
    return {
      name: path,
      size: stats.isFile() ? stats.size : undefined,
      open: (signal) => createReadStream(path, { signal, highWaterMark: 1 << 20 }),
    };
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Reads a whole source. @throws `TOO_LARGE` for more than one JSON document can have. */
export async function readAll(source: Source, signal: AbortSignal): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of source.open(signal) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > MAX_DOCUMENT_BYTES) {
      throw new VarveError(
        'TOO_LARGE',
        `${source.name}: more than ${MAX_DOCUMENT_BYTES} bytes of JSON; use varve import`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
