import { isUtf8 } from 'node:buffer';
import { VarveError } from '../../core/errors.ts';
import { finish, STEP_BYTES, type Steps, textStep } from '../../core/steps.ts';

/**
 * Validates one JSON text (RFC 8259, exactly what `JSON.parse` accepts) whose top level is an
 * object, without building values. Notes where the parts are that Varve extracts from a
 * conversation: long strings, token arrays, and known top-level fields. It works on bytes with its
 * own stack, so only memory limits the nesting.
 */

/**
 * The kind of a noted span. Spans of strings exclude the quotes, those of token arrays the
 * brackets.
 */
export const SPAN = {
  /** A string value without escapes. */
  plain: 0,
  /** A string value with escapes. */
  escaped: 1,
  /** Token ids separated by `,`. */
  tokens: 2,
  /** Token ids separated by `, `. */
  spacedTokens: 3,
  /** An empty span before the bracket of an array that was a `Uint32Array`. */
  typed: 4,
} as const;

/**
 * Top-level fields whose value spans are noted; of duplicate keys the last one counts, as in
 * `JSON.parse`.
 */
export const FIELD = {
  id: 1,
  model: 2,
  application: 3,
  created_at: 4,
  created: 5,
  messages: 6,
  conversations: 7,
} as const;

export type FieldCode = (typeof FIELD)[keyof typeof FIELD];

/** In a skeleton: replaces the text of a long string, or the ids of a token array. */
export const REFERENCE_MARKER = 0x01;
/** In a skeleton: replaces the conversation's id. */
export const ID_MARKER = 0x02;
/** In a skeleton: the array that follows was a `Uint32Array`. */
export const TYPED_MARKER = 0x03;

const FIELD_CODES: ReadonlyMap<string, FieldCode> = new Map(Object.entries(FIELD));
/** Whether a known field's name begins with this byte. */
const FIELD_INITIALS = new Uint8Array(256);
for (const name of FIELD_CODES.keys()) FIELD_INITIALS[name.charCodeAt(0)] = 1;
const LONGEST_FIELD = Math.max(...Object.keys(FIELD).map((name) => name.length));

const ORDINARY = 0;
const CONTROL = 1;
const QUOTE = 2;
const BACKSLASH = 3;

function stringClasses(allowed: readonly number[]): Uint8Array {
  const classes = new Uint8Array(256);
  classes.fill(CONTROL, 0, 0x20);
  classes[0x22] = QUOTE;
  classes[0x5c] = BACKSLASH;
  for (const byte of allowed) classes[byte] = ORDINARY;
  return classes;
}

const JSON_CLASSES = stringClasses([]);
const SKELETON_CLASSES = stringClasses([REFERENCE_MARKER, ID_MARKER]);

const HEX = new Uint8Array(256);
for (const digit of '0123456789abcdefABCDEF') HEX[digit.charCodeAt(0)] = 1;

const OBJECT = 0x7b;
const ARRAY = 0x5b;

/** Holds the results of its last scan; one scanner is reused from line to line. */
export class JsonScanner {
  /** Spans in ascending order: `starts[i]`, `ends[i]`, `kinds[i]` for i below `spanCount`. */
  starts = new Float64Array(64);
  ends = new Float64Array(64);
  kinds = new Uint8Array(64);
  spanCount = 0;
  /**
   * Value spans by {@link FIELD} code; −1 when the field is absent. Spans of strings include the
   * quotes.
   */
  readonly fieldStarts = new Float64Array(8);
  readonly fieldEnds = new Float64Array(8);

  /** Whether the last string contained a backslash. */
  #escaped = false;
  readonly #classes: Uint8Array;
  readonly #skeleton: boolean;
  #stack = new Uint8Array(64);
  #bytes: Buffer = Buffer.alloc(0);

  /** `skeleton`: the input is stored skeletons, with markers in place of long content. */
  constructor(options: { readonly skeleton?: boolean } = {}) {
    this.#skeleton = options.skeleton ?? false;
    this.#classes = this.#skeleton ? SKELETON_CLASSES : JSON_CLASSES;
  }

  /**
   * Scans `bytes`.
   *
   * @param longAt - notes strings of at least this many raw bytes, and token arrays of this many
   *   canonical bytes
   * @param typedAt - offsets of the brackets of arrays that are token arrays under any key,
   *   ascending
   * @throws `MALFORMED_INPUT` with the byte offset and the reason when `JSON.parse` would refuse
   *   it, when it is not valid UTF-8, or when the top level is not an object.
   */
  scan(bytes: Buffer, longAt: number, typedAt?: readonly number[]): void {
    finish(this.scanning(bytes, longAt, typedAt));
  }

  /** {@link scan} in steps; until the last one, the scanner is for these bytes alone. */
  *scanning(bytes: Buffer, longAt: number, typedAt: readonly number[] = []): Steps<void> {
    this.#bytes = bytes;
    this.spanCount = 0;
    this.fieldStarts.fill(-1);
    for (let start = 0; start < bytes.length; ) {
      start = checkUtf8(bytes, start);
      if (start < bytes.length) yield;
    }
    const end = bytes.length;
    let pause = STEP_BYTES;
    let typedIndex = 0;
    let stack = this.#stack;
    let depth = 0;
    let field = 0;
    let tokensKey = false;
    let at = this.#skip(0);
    if (bytes[at] !== OBJECT) this.#fail(at, 'a conversation must be a JSON object');

    for (;;) {
      // A value starts at `at`.
      if (at >= pause) {
        yield;
        pause = at + STEP_BYTES;
      }
      let closed = true;
      if (depth === 1 && field !== 0) this.fieldStarts[field] = at;
      if (this.#skeleton && bytes[at] === TYPED_MARKER) at++;
      const first = bytes[at] as number;
      if (first === 0x22) {
        const start = at + 1;
        at = this.#string(start);
        while (at < 0) {
          yield;
          at = this.#restOfString(-at);
        }
        if (at - 1 - start >= longAt)
          this.#note(start, at - 1, this.#escaped ? SPAN.escaped : SPAN.plain);
      } else if (first === OBJECT || first === ARRAY) {
        let tokens = tokensKey && first === ARRAY;
        if (typedIndex < typedAt.length && typedAt[typedIndex] === at) {
          typedIndex++;
          tokens = true;
          this.#note(at, at, SPAN.typed);
        }
        const tokensEnd = tokens ? yield* this.#tokens(at, longAt) : -1;
        if (tokensEnd >= 0) {
          at = tokensEnd;
        } else {
          if (depth === stack.length) stack = this.#growStack();
          stack[depth++] = first;
          at = this.#skip(at + 1);
          if (bytes[at] === first + 2) {
            depth--;
            at++;
          } else {
            closed = false;
          }
        }
      } else {
        at = this.#scalar(at);
      }

      // Close containers until something follows.
      let container = depth > 0 ? (stack[depth - 1] as number) : 0;
      if (closed) {
        for (;;) {
          if (depth === 1 && field !== 0) this.fieldEnds[field] = at;
          at = this.#skip(at);
          if (depth === 0) {
            if (at < end) this.#fail(at, 'expected nothing after the end of the object');
            return;
          }
          container = stack[depth - 1] as number;
          const next = bytes[at];
          if (next === 0x2c) {
            at = this.#skip(at + 1);
            break;
          }
          if (next !== container + 2)
            this.#fail(at, `expected , or ${container === OBJECT ? '}' : ']'}`);
          at++;
          depth--;
        }
      }
      tokensKey = false;
      if (container === OBJECT) {
        if (bytes[at] !== 0x22) this.#fail(at, 'expected a key in double quotes');
        const start = at + 1;
        at = this.#string(start);
        while (at < 0) {
          yield;
          at = this.#restOfString(-at);
        }
        const size = at - 1 - start;
        if (depth === 1) field = this.#fieldOf(start, at - 1);
        tokensKey =
          size === 6 &&
          bytes[start] === 0x74 &&
          bytes.toString('latin1', start, start + 6) === 'tokens';
        at = this.#skip(at);
        if (bytes[at] !== 0x3a) this.#fail(at, 'expected : after a key');
        at = this.#skip(at + 1);
      }
    }
  }

  #note(start: number, end: number, kind: number): void {
    const index = this.spanCount++;
    if (index === this.kinds.length) {
      this.starts = grown(this.starts, new Float64Array(index * 2));
      this.ends = grown(this.ends, new Float64Array(index * 2));
      this.kinds = grown(this.kinds, new Uint8Array(index * 2));
    }
    this.starts[index] = start;
    this.ends[index] = end;
    this.kinds[index] = kind;
  }

  #growStack(): Uint8Array<ArrayBuffer> {
    this.#stack = grown(this.#stack, new Uint8Array(this.#stack.length * 2));
    return this.#stack;
  }

  #skip(from: number): number {
    const bytes = this.#bytes;
    let at = from;
    while (at < bytes.length) {
      const byte = bytes[at] as number;
      if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) break;
      at++;
    }
    return at;
  }

  /**
   * Returns the offset after the closing quote of the string whose text starts at `start`. When
   * that takes more than a step, returns the negated offset from which {@link #restOfString} goes
   * on.
   */
  #string(start: number): number {
    this.#escaped = false;
    return this.#restOfString(start);
  }

  #restOfString(from: number): number {
    const bytes = this.#bytes;
    const classes = this.#classes;
    const end = Math.min(bytes.length, from + STEP_BYTES);
    let at = from;
    for (;;) {
      while (at < end && classes[bytes[at] as number] === ORDINARY) at++;
      if (at >= end) {
        if (at < bytes.length) return -at;
        this.#fail(at, 'the string does not end');
      }
      const kind = classes[bytes[at] as number];
      if (kind === QUOTE) return at + 1;
      if (kind === CONTROL) this.#fail(at, 'a control character in a string must be escaped');
      this.#escaped = true;
      at = this.#escape(at);
    }
  }

  /** Returns the end of the escape sequence at `at`. */
  #escape(at: number): number {
    const bytes = this.#bytes;
    switch (bytes[at + 1]) {
      case 0x22:
      case 0x2f:
      case 0x5c:
      case 0x62:
      case 0x66:
      case 0x6e:
      case 0x72:
      case 0x74:
        return at + 2;
      case 0x75:
        for (let digit = at + 2; digit < at + 6; digit++) {
          if (digit >= bytes.length || HEX[bytes[digit] as number] === 0)
            this.#fail(digit, 'expected four hex digits after \\u');
        }
        return at + 6;
      default:
        return this.#fail(at, 'not an escape sequence of JSON');
    }
  }

  /** Returns the end of a number, `true`, `false` or `null` (in a skeleton, of a marker). */
  #scalar(at: number): number {
    const bytes = this.#bytes;
    const first = bytes[at];
    if (first === 0x74) return this.#literal(at, 'true');
    if (first === 0x66) return this.#literal(at, 'false');
    if (first === 0x6e) return this.#literal(at, 'null');
    if (this.#skeleton && first === REFERENCE_MARKER) return at + 1;
    let digit = first === 0x2d ? at + 1 : at;
    if (bytes[digit] === 0x30) digit++;
    else if (isDigit(bytes[digit])) digit = this.#digits(digit);
    else this.#fail(digit, digit > at ? 'expected a digit' : 'expected a JSON value');
    if (bytes[digit] === 0x2e) digit = this.#digits(digit + 1);
    if (bytes[digit] === 0x65 || bytes[digit] === 0x45) {
      digit++;
      if (bytes[digit] === 0x2b || bytes[digit] === 0x2d) digit++;
      digit = this.#digits(digit);
    }
    return digit;
  }

  #digits(from: number): number {
    const bytes = this.#bytes;
    let at = from;
    while (isDigit(bytes[at])) at++;
    if (at === from) this.#fail(at, 'expected a digit');
    return at;
  }

  #literal(at: number, literal: string): number {
    if (
      this.#bytes.toString('latin1', at, Math.min(at + literal.length, this.#bytes.length)) !==
      literal
    ) {
      this.#fail(at, 'expected a JSON value');
    }
    return at + literal.length;
  }

  /**
   * Returns the end of the array at `open` when it is written as a token array (ids from 0 to
   * 2^32−1, no leading zeros, one kind of separator), otherwise −1.
   */
  *#tokens(open: number, longAt: number): Steps<number> {
    const bytes = this.#bytes;
    let at = open + 1;
    let pause = at + STEP_BYTES;
    if (bytes[at] === 0x5d) return at + 1;
    let count = 0;
    let spaced = false;
    for (;;) {
      const start = at;
      let value = 0;
      while (isDigit(bytes[at]) && at - start < 11)
        value = value * 10 + (bytes[at++] as number) - 0x30;
      const size = at - start;
      if (size === 0 || value > 0xffffffff || (size > 1 && bytes[start] === 0x30)) return -1;
      count++;
      if (bytes[at] === 0x5d) break;
      if (bytes[at] !== 0x2c) return -1;
      at++;
      const space = bytes[at] === 0x20;
      if (count === 1) spaced = space;
      if (space !== spaced) return -1;
      if (space) at++;
      if (at < pause) continue;
      yield;
      pause = at + STEP_BYTES;
    }
    if (count * 4 >= longAt) this.#note(open + 1, at, spaced ? SPAN.spacedTokens : SPAN.tokens);
    return at + 1;
  }

  #fieldOf(start: number, end: number): number {
    if (!this.#escaped) {
      if (end - start > LONGEST_FIELD || FIELD_INITIALS[this.#bytes[start] as number] === 0)
        return 0;
      return FIELD_CODES.get(this.#bytes.toString('latin1', start, end)) ?? 0;
    }
    return FIELD_CODES.get(JSON.parse(this.#bytes.toString('utf8', start - 1, end + 1))) ?? 0;
  }

  #fail(at: number, reason: string): never {
    const found = at < this.#bytes.length ? '' : ' (the text ends here)';
    throw new VarveError('MALFORMED_INPUT', `byte ${at}: ${reason}${found}`);
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function grown<T extends Uint8Array<ArrayBuffer> | Float64Array<ArrayBuffer>>(from: T, into: T): T {
  into.set(from);
  return into;
}

/**
 * Checks a few steps of text from `start` on; checking is fast. Returns where the next ones begin.
 *
 * @throws `MALFORMED_INPUT` with the offset of the first character that is not valid UTF-8.
 */
function checkUtf8(bytes: Buffer, start: number): number {
  const end = textStep(bytes, start, 8 * STEP_BYTES);
  const part = bytes.subarray(start, end);
  if (isUtf8(part)) return end;
  throw new VarveError('MALFORMED_INPUT', `byte ${start + invalidUtf8At(part)}: not valid UTF-8`);
}

/** The offset of the first character that is not valid UTF-8. */
function invalidUtf8At(bytes: Buffer): number {
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at] as number;
    const size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (size > 1 && !isUtf8(bytes.subarray(at, at + size))) return at;
    at += size;
  }
  return bytes.length;
}
