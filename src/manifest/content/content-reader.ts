import { LRUCache } from 'lru-cache';
import type { Backend } from '../../backends/contract/backend.ts';
import type { Locator, StoredEntry } from '../../backends/contract/manifests.ts';
import type { AbortOptions } from '../../core/abort.ts';
import { mapAll } from '../../core/concurrency.ts';
import { VarveError } from '../../core/errors.ts';
import {
  addressing,
  inTurns,
  joining,
  STEP_BYTES,
  StepMeter,
  type Steps,
} from '../../core/steps.ts';
import {
  decodeEntry,
  type EntryShape,
  type Skeleton,
  type StoredReference,
  spillOf,
} from './body.ts';
import { escapeText, escaping } from './json-escapes.ts';
import { REFERENCE } from './reference.ts';
import { printingTokens, printTokens } from './token-array.ts';

/** Size of the cache of raw text: a call log uses each of its strings about fifty times. */
const REMEMBERED_BYTES = 24 * 1024 * 1024;

/** Larger texts are not cached, because they would evict too many others. */
const LARGEST_REMEMBERED = 256 * 1024;

/** What a reference costs besides its bytes, as bytes of a step. */
const REFERENCE_BYTES = 256;

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
      const pieces = await this.#backend.fetch(spill.locators, options);
      const payload = await inTurns(whole('its skeleton', pieces, spill.digest), options?.signal);
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
    const contentOf = (locator: Locator) => contents[wanted.get(locator) as number] as Uint8Array;
    await inTurns(this.#making(references, missing, contentOf, found), options?.signal);
    return found;
  }

  *#making(
    references: readonly StoredReference[],
    missing: readonly number[],
    contentOf: (locator: Locator) => Uint8Array,
    found: Buffer[],
  ): Steps<void> {
    const made = new Map<Locator, { code: number; bytes: Buffer }>();
    const meter = new StepMeter();
    for (const index of missing) {
      const { code, locators, digest } = references[index] as StoredReference;
      const [only] = locators;
      if (digest !== undefined || only === undefined) {
        const content = yield* wholeOf(locators.map(contentOf), digest);
        found[index] = yield* rawBytes(code, content);
        continue;
      }
      let raw = made.get(only);
      if (raw === undefined || raw.code !== code) {
        const content = asBuffer(contentOf(only));
        const bytes =
          content.length > STEP_BYTES
            ? yield* rawBytes(code, content)
            : shortRawBytes(code, content);
        raw = { code, bytes };
        made.set(only, raw);
        if (bytes.length <= LARGEST_REMEMBERED) this.#raw.set(only, raw);
        if (meter.add(bytes.length + REFERENCE_BYTES)) yield;
      }
      found[index] = raw.bytes;
    }
  }

  /** The canonical bytes of one reference. */
  async canonical(reference: StoredReference, options?: AbortOptions): Promise<Buffer> {
    const pieces = await this.#backend.fetch(reference.locators, options);
    return inTurns(wholeOf(pieces, reference.digest), options?.signal);
  }
}

function* wholeOf(pieces: readonly Uint8Array[], digest: string | undefined): Steps<Buffer> {
  if (digest === undefined) return asBuffer(pieces[0] as Uint8Array);
  return yield* whole('a long string', pieces, digest);
}

/** Joins the chunks of something. @throws `CORRUPT` when they do not add up to the digest. */
function* whole(what: string, pieces: readonly Uint8Array[], digest: string): Steps<Buffer> {
  const joined = yield* joining(pieces);
  if ((yield* addressing(joined)) === digest) return joined;
  throw new VarveError('CORRUPT', `the chunks of ${what} do not add up to ${digest}: run an audit`);
}

/** Converts content to the raw bytes that its writer used. */
function* rawBytes(code: number, content: Buffer): Steps<Buffer> {
  if (content.length <= STEP_BYTES) return shortRawBytes(code, content);
  switch (code) {
    case REFERENCE.verbatim:
      return content;
    case REFERENCE.base64:
      return yield* printingBase64(content);
    case REFERENCE.tokens:
    case REFERENCE.spacedTokens:
      assertWholeIds(content);
      return yield* printingTokens(content, code === REFERENCE.spacedTokens);
    default:
      return yield* joining(yield* escaping(content, code - REFERENCE.text));
  }
}

function shortRawBytes(code: number, content: Buffer): Buffer {
  switch (code) {
    case REFERENCE.verbatim:
      return content;
    case REFERENCE.base64:
      return Buffer.from(content.toString('base64'), 'latin1');
    case REFERENCE.tokens:
    case REFERENCE.spacedTokens:
      assertWholeIds(content);
      return printTokens(content, code === REFERENCE.spacedTokens);
    default:
      return escapeText(content, code - REFERENCE.text);
  }
}

/** Bytes in a step of base64: three become four characters. */
const BASE64_STEP_BYTES = 3 * 128 * 1024;

function* printingBase64(content: Buffer): Steps<Buffer> {
  const pieces: Buffer[] = [];
  for (let at = 0; at < content.length; at += BASE64_STEP_BYTES) {
    const part = content.toString('base64', at, Math.min(at + BASE64_STEP_BYTES, content.length));
    pieces.push(Buffer.from(part, 'latin1'));
    yield;
  }
  return yield* joining(pieces);
}

function assertWholeIds(content: Buffer): void {
  if (content.length % 4 !== 0)
    throw new VarveError('CORRUPT', 'a token segment has a cut id: run an audit');
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
