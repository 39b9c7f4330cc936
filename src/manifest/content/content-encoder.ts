import { LRUCache } from 'lru-cache';
import type { NewSegment, SegmentEncoding } from '../../backends/contract/manifests.ts';
import { cutPoints, TEXT_CHUNKS, TOKEN_CHUNKS } from '../../cas/chunker.ts';
import { type Address, addressOf } from '../../core/address.ts';
import { unescapeText } from './json-escapes.ts';
import { REFERENCE, Reference } from './reference.ts';
import { parseTokens } from './token-array.ts';

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
  readonly address: Address;
  readonly chunks:
    | readonly { readonly address: Address; readonly start: number; readonly end: number }[]
    | undefined;
}

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
  string(raw: Buffer, escaped: boolean): Reference {
    const key = addressOf(raw);
    const seen = this.#batch.get(key);
    if (seen !== undefined) return seen;
    const known = this.#known.get(key);
    if (known !== undefined) {
      return this.#refer(
        key,
        raw,
        known,
        escaped ? () => canonicalText(raw, known.code) : () => raw,
      );
    }
    if (!escaped) return this.#learn(key, raw, REFERENCE.text, raw, key);
    const unescaped = unescapeText(raw);
    if (unescaped === undefined) return this.#learn(key, raw, REFERENCE.verbatim, raw, key);
    return this.#learn(
      key,
      raw,
      REFERENCE.text + unescaped.style,
      unescaped.text,
      addressOf(unescaped.text),
    );
  }

  /**
   * Finds where the payload of a base64 data URL (RFC 2397) begins in a string without escapes; −1
   * when the string is not one, or when encoding its bytes again would give other characters.
   */
  base64Start(raw: Buffer): number {
    if (raw[0] !== 0x64 || raw.toString('latin1', 0, 5) !== 'data:') return -1;
    const comma = raw.subarray(0, 256).indexOf(0x2c);
    if (comma < 0 || raw.toString('latin1', Math.max(0, comma - 7), comma) !== ';base64') return -1;
    const size = raw.length - comma - 1;
    if (size < SHORTEST_BASE64 || size % 4 !== 0 || size > 2 ** 29 - 64) return -1;
    return this.#canonicalBase64(raw.subarray(comma + 1)) ? comma + 1 : -1;
  }

  /** The payload of a data URL that {@link base64Start} found. */
  base64(payload: Buffer): Reference {
    const key = `base64 ${addressOf(payload)}`;
    const decode = (): Buffer => decodeBase64(payload);
    return this.#batch.get(key) ?? this.#referOrLearn(key, payload, REFERENCE.base64, decode);
  }

  /** @param digits - the bytes between the brackets of a token array */
  tokens(digits: Buffer, spaced: boolean): Reference {
    const key = `tokens ${addressOf(digits)}`;
    const code = spaced ? REFERENCE.spacedTokens : REFERENCE.tokens;
    return this.#batch.get(key) ?? this.#referOrLearn(key, digits, code, () => parseTokens(digits));
  }

  #canonicalBase64(payload: Buffer): boolean {
    const key = `base64 ${addressOf(payload)}`;
    return (
      this.#known.has(key) ||
      decodeBase64(payload).toString('base64') === payload.toString('latin1')
    );
  }

  #referOrLearn(key: string, raw: Buffer, code: number, decode: () => Buffer): Reference {
    const known = this.#known.get(key);
    if (known !== undefined) return this.#refer(key, raw, known, decode);
    const content = decode();
    return this.#learn(key, raw, code, content, addressOf(content));
  }

  #learn(key: string, raw: Buffer, code: number, content: Buffer, address: Address): Reference {
    let chunks: Known['chunks'];
    if (content.length > CHUNK_ABOVE_BYTES) {
      let start = 0;
      chunks = cutPoints(content, encodingOf(code) === 'tokens' ? TOKEN_CHUNKS : TEXT_CHUNKS).map(
        (end) => {
          const chunk = { address: addressOf(content.subarray(start, end)), start, end };
          start = end;
          return chunk;
        },
      );
    }
    const known: Known = { code, address, chunks };
    this.#known.set(key, known);
    return this.#refer(key, raw, known, () => content);
  }

  #refer(key: string, raw: Buffer, known: Known, canonical: () => Buffer): Reference {
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

/** Cuts bytes that are not content themselves (a long skeleton) into segments. */
export function chunkSegments(bytes: Buffer): NewSegment[] {
  let start = 0;
  return cutPoints(bytes, TEXT_CHUNKS).map((end) => {
    const chunk = bytes.subarray(start, end);
    start = end;
    return { address: addressOf(chunk), encoding: 'bytes', bytes: () => chunk };
  });
}

function encodingOf(code: number): SegmentEncoding {
  return code === REFERENCE.tokens || code === REFERENCE.spacedTokens ? 'tokens' : 'bytes';
}

function canonicalText(raw: Buffer, code: number): Buffer {
  return code === REFERENCE.verbatim ? raw : (unescapeText(raw)?.text ?? raw);
}

function decodeBase64(payload: Buffer): Buffer {
  return Buffer.from(payload.toString('latin1'), 'base64');
}
