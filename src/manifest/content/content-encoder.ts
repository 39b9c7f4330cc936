import { LRUCache } from 'lru-cache';
import type { NewSegment, SegmentEncoding } from '../../backends/contract/manifests.ts';
import { type ChunkerOptions, cuts, TEXT_CHUNKS, TOKEN_CHUNKS } from '../../cas/chunker.ts';
import { type Address, addressOf } from '../../core/address.ts';
import {
  addressing,
  finish,
  joining,
  STEP_BYTES,
  StepMeter,
  type Steps,
} from '../../core/steps.ts';
import { unescaping } from './json-escapes.ts';
import { REFERENCE, Reference } from './reference.ts';
import { parsingTokens } from './token-array.ts';

/**
 * Longer content is cut into chunks, so that long tool outputs with common passages share segments.
 * For shorter content the chunker would make at most four pieces, and the compression of a block
 * finds what neighbours share.
 */
const CHUNK_ABOVE_BYTES = 64 * 1024;

/**
 * A call log repeats its history, so known strings are not parsed again. About 300 bytes of memory
 * each.
 */
const REMEMBERED_STRINGS = 32_768;

/** Shorter base64 is hardly an image; as text it compresses as well. */
const SHORTEST_BASE64 = 64;

/** What the encoder remembers of content: enough to refer to it again, without its bytes. */
interface Known {
  readonly code: number;
  /** Whether the content is the raw bytes themselves. */
  readonly isRaw: boolean;
  readonly address: Address;
  readonly chunks: readonly Chunk[] | undefined;
}

interface Chunk {
  readonly address: Address;
  readonly start: number;
  readonly end: number;
}

/** A way to read raw bytes. */
interface Reading {
  /** Distinguishes what is remembered of equal bytes that are read in different ways. */
  readonly prefix: string;
  /** The content, or `undefined` when there is none that these bytes can be rebuilt from. */
  readonly decode: (raw: Buffer) => Steps<Content | undefined>;
}

/** What raw bytes mean, and the code of how it is written. */
interface Content {
  readonly code: number;
  readonly bytes: Buffer;
}

const PLAIN_STRING: Reading = { prefix: '', decode: plainString };
const ESCAPED_STRING: Reading = { prefix: '', decode: escapedString };
const BASE64: Reading = { prefix: 'base64 ', decode: base64 };
const TOKENS: Reading = { prefix: 'tokens ', decode: (raw) => tokens(raw, REFERENCE.tokens) };
const SPACED_TOKENS: Reading = {
  prefix: 'tokens ',
  decode: (raw) => tokens(raw, REFERENCE.spacedTokens),
};

/** A reference to content that is known, or the steps that read it. */
export type Referring<R extends Reference | undefined = Reference> = R | Steps<R>;

/** Turns the raw bytes of long strings and token arrays into references to segments. */
export class ContentEncoder {
  readonly #known = new LRUCache<string, Known>({ max: REMEMBERED_STRINGS });
  #batch = new Map<string, Reference>();

  /**
   * Forgets the references made so far. They keep the lines they came from in memory, so call it
   * when the lines before are committed; until then repeated content gets the same reference
   * object.
   */
  beginBatch(): void {
    this.#batch = new Map();
  }

  /** @param raw - the bytes between the quotes of a string */
  string(raw: Buffer, escaped: boolean): Referring {
    return this.#refer(raw, escaped ? ESCAPED_STRING : PLAIN_STRING) as Referring;
  }

  /**
   * The payload of a base64 data URL that {@link base64Start} found; `undefined` when encoding its
   * bytes again would give other characters.
   */
  base64(payload: Buffer): Referring<Reference | undefined> {
    return this.#refer(payload, BASE64);
  }

  /** @param digits - the bytes between the brackets of a token array */
  tokens(digits: Buffer, spaced: boolean): Referring {
    return this.#refer(digits, spaced ? SPACED_TOKENS : TOKENS) as Referring;
  }

  #refer(raw: Buffer, reading: Reading): Referring<Reference | undefined> {
    if (raw.length > STEP_BYTES) return this.#referLong(raw, reading);
    const key = reading.prefix + addressOf(raw);
    return this.#recall(key, raw, reading) ?? this.#learn(key, raw, reading);
  }

  *#referLong(raw: Buffer, reading: Reading): Steps<Reference | undefined> {
    const key = reading.prefix + (yield* addressing(raw));
    return this.#recall(key, raw, reading) ?? (yield* this.#learn(key, raw, reading));
  }

  #recall(key: string, raw: Buffer, { decode }: Reading): Reference | undefined {
    const made = this.#batch.get(key);
    if (made !== undefined) return made;
    const known = this.#known.get(key);
    if (known === undefined) return undefined;
    const canonical = () => (known.isRaw ? raw : (finish(decode(raw))?.bytes ?? raw));
    return this.#make(key, raw, known, canonical);
  }

  *#learn(key: string, raw: Buffer, { decode }: Reading): Steps<Reference | undefined> {
    const content = yield* decode(raw);
    if (content === undefined) return undefined;
    const { code, bytes } = content;
    const isRaw = bytes === raw;
    const address = isRaw ? (key as Address) : yield* addressing(bytes);
    const options = encodingOf(code) === 'tokens' ? TOKEN_CHUNKS : TEXT_CHUNKS;
    const chunks = bytes.length > CHUNK_ABOVE_BYTES ? yield* chunking(bytes, options) : undefined;
    const known: Known = { code, isRaw, address, chunks };
    this.#known.set(key, known);
    return this.#make(key, raw, known, () => bytes);
  }

  #make(key: string, raw: Buffer, known: Known, canonical: () => Buffer): Reference {
    const encoding = encodingOf(known.code);
    let segments: NewSegment[];
    if (known.chunks === undefined) {
      segments = [{ address: known.address, encoding, bytes: canonical }];
    } else {
      let content: Buffer | undefined;
      segments = known.chunks.map(({ address, start, end }) => ({
        address,
        encoding,
        bytes: () => {
          content ??= canonical();
          return content.subarray(start, end);
        },
      }));
    }
    const reference = new Reference(known.code, segments, known.chunks && known.address, raw);
    this.#batch.set(key, reference);
    return reference;
  }
}

/**
 * Finds where the payload of a base64 data URL (RFC 2397) begins in a string without escapes; −1
 * when the string is not one.
 */
export function base64Start(raw: Buffer): number {
  if (raw[0] !== 0x64 || raw.toString('latin1', 0, 5) !== 'data:') return -1;
  const comma = raw.subarray(0, 256).indexOf(0x2c);
  if (comma < 0 || raw.toString('latin1', Math.max(0, comma - 7), comma) !== ';base64') return -1;
  const size = raw.length - comma - 1;
  return size < SHORTEST_BASE64 || size % 4 !== 0 ? -1 : comma + 1;
}

/** Cuts bytes that are not content themselves (a long skeleton) into segments. */
export function* chunkSegments(bytes: Buffer): Steps<NewSegment[]> {
  const chunks = yield* chunking(bytes, TEXT_CHUNKS);
  return chunks.map(({ address, start, end }) => {
    return { address, encoding: 'bytes', bytes: () => bytes.subarray(start, end) };
  });
}

function* chunking(bytes: Buffer, options: ChunkerOptions): Steps<Chunk[]> {
  const meter = new StepMeter();
  const chunks: Chunk[] = [];
  let start = 0;
  for (const end of cuts(bytes, options)) {
    chunks.push({ address: addressOf(bytes.subarray(start, end)), start, end });
    if (meter.add(end - start)) yield;
    start = end;
  }
  return chunks;
}

function encodingOf(code: number): SegmentEncoding {
  return code === REFERENCE.tokens || code === REFERENCE.spacedTokens ? 'tokens' : 'bytes';
}

// biome-ignore lint/correctness/useYield: it has a single step
function* plainString(raw: Buffer): Steps<Content> {
  return { code: REFERENCE.text, bytes: raw };
}

function* escapedString(raw: Buffer): Steps<Content> {
  const unescaped = yield* unescaping(raw);
  if (unescaped === undefined) return { code: REFERENCE.verbatim, bytes: raw };
  return { code: REFERENCE.text + unescaped.style, bytes: unescaped.text };
}

function* base64(payload: Buffer): Steps<Content | undefined> {
  const pieces: Buffer[] = [];
  // A step of whole groups of four characters, each of which stands for three bytes.
  for (let at = 0; at < payload.length; at += STEP_BYTES) {
    const part = payload.toString('latin1', at, Math.min(at + STEP_BYTES, payload.length));
    const piece = Buffer.from(part, 'base64');
    if (piece.toString('base64') !== part) return undefined;
    pieces.push(piece);
    if (payload.length > STEP_BYTES) yield;
  }
  return { code: REFERENCE.base64, bytes: yield* joining(pieces) };
}

function* tokens(digits: Buffer, code: number): Steps<Content> {
  return { code, bytes: yield* parsingTokens(digits) };
}
