import { LRUCache } from 'lru-cache';
import type { Backend } from '../../backends/contract/backend.ts';
import type { Locator, StoredEntry } from '../../backends/contract/manifests.ts';
import type { AbortOptions } from '../../core/abort.ts';
import { addressOf } from '../../core/address.ts';
import { mapAll } from '../../core/concurrency.ts';
import { VarveError } from '../../core/errors.ts';
import {
  decodeEntry,
  type EntryShape,
  type Skeleton,
  type StoredReference,
  spillOf,
} from './body.ts';
import { escapeText } from './json-escapes.ts';
import { REFERENCE } from './reference.ts';
import { printTokens } from './token-array.ts';

/** Size of the cache of raw text: a call log uses each of its strings about fifty times. */
const REMEMBERED_BYTES = 24 * 1024 * 1024;

/** Larger texts are not cached, because they would evict too many others. */
const LARGEST_REMEMBERED = 256 * 1024;

/** An entry with its payload in memory. */
export type LoadedEntry = EntryShape & Skeleton<StoredReference>;

/** Reads what entries refer to, as the raw bytes of the original JSON text. */
export class ContentReader {
  readonly #backend: Backend;
  readonly #raw: LRUCache<Locator, { readonly code: number; readonly bytes: Buffer }>;

  constructor(backend: Backend) {
    this.#backend = backend;
    this.#raw = new LRUCache({
      maxSize: REMEMBERED_BYTES,
      maxEntrySize: LARGEST_REMEMBERED,
      sizeCalculation: ({ bytes }) => bytes.length + 200,
    });
  }

  /**
   * Decodes entries; fetches payloads that are too long for a body.
   *
   * @throws `NOT_FOUND` when a segment has been collected meanwhile, `CORRUPT`,
   *   `UNSUPPORTED_FORMAT`.
   */
  async entries(stored: readonly StoredEntry[], options?: AbortOptions): Promise<LoadedEntry[]> {
    return mapAll(stored, async (entry) => {
      const spill = spillOf(entry);
      if (spill === undefined) return decodeEntry(entry);
      const payload = Buffer.concat(await this.#backend.fetch(spill.locators, options));
      if (addressOf(payload) !== spill.digest) throw altered('its skeleton', spill.digest);
      return decodeEntry(entry, payload);
    });
  }

  /** The raw bytes of each reference, without quotes or brackets. Callers must not change them. */
  async raw(references: readonly StoredReference[], options?: AbortOptions): Promise<Buffer[]> {
    const found = new Array<Buffer>(references.length);
    const missing: number[] = [];
    const wanted = new Map<Locator, number>();
    for (let index = 0; index < references.length; index++) {
      const reference = references[index] as StoredReference;
      const [only] = reference.locators;
      const known =
        reference.digest === undefined && only !== undefined ? this.#raw.get(only) : undefined;
      if (known !== undefined && known.code === reference.code) {
        found[index] = known.bytes;
        continue;
      }
      missing.push(index);
      for (const locator of reference.locators)
        if (!wanted.has(locator)) wanted.set(locator, wanted.size);
    }
    if (missing.length === 0) return found;
    const contents = await this.#backend.fetch([...wanted.keys()], options);
    const made = new Map<Locator, { code: number; bytes: Buffer }>();
    for (const index of missing) {
      const reference = references[index] as StoredReference;
      const { code, locators, digest } = reference;
      const [only] = locators;
      if (digest !== undefined || only === undefined) {
        const pieces = locators.map(
          (locator) => contents[wanted.get(locator) as number] as Uint8Array,
        );
        found[index] = rawBytes(code, wholeOf(pieces, digest));
        continue;
      }
      let raw = made.get(only);
      if (raw === undefined || raw.code !== code) {
        raw = {
          code,
          bytes: rawBytes(code, asBuffer(contents[wanted.get(only) as number] as Uint8Array)),
        };
        made.set(only, raw);
        if (raw.bytes.length <= LARGEST_REMEMBERED) this.#raw.set(only, raw);
      }
      found[index] = raw.bytes;
    }
    return found;
  }

  /** The canonical bytes of one reference. */
  async canonical(reference: StoredReference, options?: AbortOptions): Promise<Buffer> {
    const pieces = await this.#backend.fetch(reference.locators, options);
    return wholeOf(pieces, reference.digest);
  }
}

function wholeOf(pieces: readonly Uint8Array[], digest: string | undefined): Buffer {
  if (digest === undefined) return asBuffer(pieces[0] as Uint8Array);
  const whole = Buffer.concat(pieces);
  if (addressOf(whole) !== digest) throw altered('a long string', digest);
  return whole;
}

function altered(what: string, digest: string): VarveError {
  return new VarveError(
    'CORRUPT',
    `the chunks of ${what} do not add up to ${digest}: run an audit`,
  );
}

/** Converts content to the raw bytes that its writer used. */
function rawBytes(code: number, content: Buffer): Buffer {
  switch (code) {
    case REFERENCE.verbatim:
      return content;
    case REFERENCE.base64:
      return Buffer.from(content.toString('base64'), 'latin1');
    case REFERENCE.tokens:
    case REFERENCE.spacedTokens:
      if (content.length % 4 !== 0)
        throw new VarveError('CORRUPT', 'a token segment has a cut id: run an audit');
      return printTokens(content, code === REFERENCE.spacedTokens);
    default:
      return escapeText(content, code - REFERENCE.text);
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
