import type { NewSegment } from '../../backends/contract/manifests.ts';
import type { Address } from '../../core/address.ts';
import { STEP_BYTES, type Steps } from '../../core/steps.ts';
import { type EscapeStyle, forbiddenEscapes, forbidding } from './json-escapes.ts';

/**
 * How to get the raw bytes of a JSON text from a reference's content. Codes from {@link
 * REFERENCE}.text on include an {@link EscapeStyle}.
 */
export const REFERENCE = {
  /** The content is the raw bytes between the quotes, including escapes. */
  verbatim: 0,
  /** The content is bytes, written in base64 (RFC 4648, section 4, with padding). */
  base64: 1,
  /** The content is token ids, written in decimal separated by `,`. */
  tokens: 2,
  /** As `tokens`, separated by `, `. */
  spacedTokens: 3,
  /** The content is text, escaped in a style. */
  text: 4,
} as const;

/** Content extracted from a JSON text, on its way to the backend. */
export class Reference {
  readonly code: number;
  /** Several when the content is cut into chunks. */
  readonly segments: readonly NewSegment[];
  /** SHA-256 of the whole content when it is cut into chunks. */
  readonly digest: Address | undefined;
  readonly #raw: Buffer;
  #forbidden = -1;

  constructor(
    code: number,
    segments: readonly NewSegment[],
    digest: Address | undefined,
    raw: Buffer,
  ) {
    this.code = code;
    this.segments = segments;
    this.digest = digest;
    this.#raw = raw;
  }

  /** How long the raw bytes are. */
  get rawBytes(): number {
    return this.#raw.length;
  }

  /** Whether {@link writtenAlsoBy} needs several steps: then {@link reading} comes before it. */
  get isLong(): boolean {
    return this.#raw.length > STEP_BYTES;
  }

  /** Reads the raw bytes where that is needed to compare the content with a code. */
  *reading(code: number): Steps<void> {
    if (this.#forbidden < 0 && this.#mayBeWrittenBy(code) && code !== this.code)
      this.#forbidden = yield* forbidding(this.#raw);
  }

  /** Whether `code` also reproduces the raw bytes from this content. */
  writtenAlsoBy(code: number): boolean {
    if (code === this.code) return true;
    if (!this.#mayBeWrittenBy(code)) return false;
    const other: EscapeStyle = code - REFERENCE.text;
    if (this.#forbidden < 0) this.#forbidden = forbiddenEscapes(this.#raw);
    return (this.#forbidden & other) === 0;
  }

  #mayBeWrittenBy(code: number): boolean {
    if (code < REFERENCE.text || this.code < REFERENCE.text) return false;
    const own = this.code - REFERENCE.text;
    return (own & (code - REFERENCE.text)) === own;
  }
}
