import { createHash } from 'node:crypto';
import type { Backend } from '../../backends/contract/backend.ts';
import type { Locator, StoredManifest } from '../../backends/contract/manifests.ts';
import type { AbortOptions } from '../../core/abort.ts';
import { mapAhead } from '../../core/concurrency.ts';
import { isVarveError, VarveError } from '../../core/errors.ts';
import { lostContent, nameOf } from '../content/lost-content.ts';
import { type BlobEnd, decodeBlobEntry } from './blob-body.ts';

/** Bytes per fetch, roughly. */
const WINDOW_BYTES = 1024 * 1024;

/** Windows in memory: the next ones are fetched while the chunks of one are handed out. */
const WINDOWS_AHEAD = 2;

/** Where the bytes of a stored blob are: its decoded manifest. */
export interface BlobLayout extends BlobEnd {
  readonly manifest: StoredManifest;
  readonly locators: readonly Locator[];
  /** The offset of each chunk's end. */
  readonly ends: readonly number[];
}

/** @throws `CORRUPT` when the manifest contradicts itself; `UNSUPPORTED_FORMAT`. */
export function layoutOf(manifest: StoredManifest): BlobLayout {
  const name = nameOf(manifest.key);
  const locators: Locator[] = [];
  const ends: number[] = [];
  let end: BlobEnd | undefined;
  let total = 0;
  for (const [number, { body, segments }] of manifest.entries.entries()) {
    const entry = decodeBlobEntry(body, `entry ${number} of ${name}`);
    if (end || entry.lengths.length !== segments.length)
      throw new VarveError('CORRUPT', `${name} contradicts itself`);
    for (const [i, length] of entry.lengths.entries()) {
      total += length;
      ends.push(total);
      locators.push(segments[i] as Locator);
    }
    end = entry.end;
  }
  if (end?.bytes !== total)
    throw new VarveError('CORRUPT', `${name} is incomplete: ${total} bytes of ${end?.bytes}`);
  return { manifest, locators, ends, ...end };
}

/** Chunks `first` to `next` - 1. */
interface Span {
  readonly first: number;
  readonly next: number;
}

/** Chunks that were fetched. */
interface Window extends Span {
  readonly chunks: readonly Uint8Array[];
}

/** The bytes from `start` to `end` (exclusive) of a blob as it was when its layout was read. */
export class BlobRange {
  readonly #backend: Backend;
  readonly #layout: BlobLayout;
  readonly #start: number;
  readonly #end: number;
  readonly #options: AbortOptions;

  constructor(
    backend: Backend,
    layout: BlobLayout,
    start: number,
    end: number,
    options: AbortOptions,
  ) {
    this.#backend = backend;
    this.#layout = layout;
    this.#start = start;
    this.#end = end;
    this.#options = options;
  }

  /**
   * Fetches the first window, so that a reader learns early that the blob changed: throws what the
   * backend's fetch throws.
   */
  async first(): Promise<Window | undefined> {
    const [span] = this.#spans(this.#chunk);
    return span && this.#fetch(span);
  }

  /**
   * Hands out the bytes in pieces of at most a chunk. The last piece of a whole blob comes only
   * after the SHA-256 of the whole is verified.
   */
  async *bytes(first?: Window): AsyncGenerator<Uint8Array, void, undefined> {
    const { ends, bytes: total, sha256 } = this.#layout;
    const whole = this.#start === 0 && this.#end === total ? createHash('sha256') : undefined;
    const rest = this.#spans(first?.next ?? this.#chunk);
    const spans: Iterable<Span | Window> = first ? [first, ...rest] : rest;
    const windows = mapAhead(spans, { count: WINDOWS_AHEAD }, (span) =>
      'chunks' in span ? span : this.#explained(this.#fetch(span)),
    );
    for await (const window of windows) {
      for (const [i, chunk] of window.chunks.entries()) {
        const number = window.first + i;
        whole?.update(chunk);
        if (number === ends.length - 1 && whole && whole.digest('hex') !== sha256)
          throw this.#damaged('its SHA-256 differs');
        const chunkStart = ends[number - 1] ?? 0;
        yield chunk.subarray(Math.max(0, this.#start - chunkStart), this.#end - chunkStart);
      }
    }
  }

  /** The chunk that the range begins in. */
  get #chunk(): number {
    return chunkAt(this.#layout.ends, this.#start);
  }

  /** The windows of the range from a chunk on. */
  *#spans(chunk: number): Generator<Span, void, undefined> {
    const { ends } = this.#layout;
    const startOf = (at: number) => ends[at - 1] ?? 0;
    if (this.#start >= this.#end) return;
    for (let first = chunk; first < ends.length && startOf(first) < this.#end; ) {
      let next = first + 1;
      while (
        next < ends.length &&
        startOf(next) < this.#end &&
        (ends[next] as number) - startOf(first) <= WINDOW_BYTES
      ) {
        next += 1;
      }
      yield { first, next };
      first = next;
    }
  }

  async #fetch({ first, next }: Span): Promise<Window> {
    const { ends, locators } = this.#layout;
    const chunks = await this.#backend.fetch(locators.slice(first, next), this.#options);
    for (const [i, chunk] of chunks.entries()) {
      const expected = (ends[first + i] as number) - (ends[first + i - 1] ?? 0);
      if (chunk.length !== expected)
        throw this.#damaged(`chunk ${first + i} has ${chunk.length} bytes, not ${expected}`);
    }
    return { first, next, chunks };
  }

  /**
   * Explains a failed fetch: a blob that changed after its first bytes were handed out cannot be
   * continued.
   */
  async #explained(window: Promise<Window>): Promise<Window> {
    try {
      return await window;
    } catch (error) {
      if (!isVarveError(error, 'NOT_FOUND')) throw error;
      const { key } = this.#layout.manifest;
      if (await isUnchanged(this.#backend, this.#layout.manifest, this.#options))
        throw lostContent(key, error);
      throw new VarveError(
        'CONFLICT',
        `${nameOf(key)} was replaced or deleted while it was read: read it again`,
        {
          cause: error,
        },
      );
    }
  }

  #damaged(how: string): VarveError {
    return new VarveError('CORRUPT', `${nameOf(this.#layout.manifest.key)} is damaged: ${how}`);
  }
}

/** Whether a manifest is still at the revision at which it was read. */
export async function isUnchanged(
  backend: Backend,
  read: StoredManifest,
  options: AbortOptions,
): Promise<boolean> {
  const [head] = await backend.heads([read.key], options);
  return head?.revision === read.revision;
}

/**
 * The number of the chunk that contains the byte at `offset`: the first whose end lies beyond it.
 */
function chunkAt(ends: readonly number[], offset: number): number {
  let low = 0;
  let high = ends.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ends[middle] as number) > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}
