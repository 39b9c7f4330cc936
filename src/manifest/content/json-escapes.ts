import { finish, STEP_BYTES, type Steps, textStep } from '../../core/steps.ts';

/**
 * How JSON writers escape strings. Each writer makes a set of independent choices, so a style is a
 * set of bits. No bit set is the style of `JSON.stringify` (also of Python with
 * `ensure_ascii=False`, of orjson and of Rust's serde_json). Quote, backslash and the control
 * characters are always escaped, with a letter where JSON has one, otherwise in lower-case hex.
 *
 * | writer | style |
 * |---|---|
 * | Python `json` | ascii, delete |
 * | Go `encoding/json` | html, lineSeparators (before 1.22 also longControls) |
 * | PHP `json_encode` | ascii, slash (JSON_UNESCAPED_UNICODE: slash, lineSeparators) |
 * | .NET `System.Text.Json` | ascii, delete, html, upperHex, apostrophe, dotnet |
 * | Gson | html, lineSeparators, apostrophe, equals |
 */
export const ESCAPES = {
  /** Everything above 0x7f as UTF-16 code units. */
  ascii: 1,
  delete: 2,
  /** `\/` */
  slash: 4,
  /** `<`, `>`, `&` */
  html: 8,
  /** U+2028 and U+2029 */
  lineSeparators: 16,
  /** Backspace and form feed in hex, not as `\b` and `\f`. */
  longControls: 32,
  /** Hex digits A to F, not a to f. */
  upperHex: 64,
  apostrophe: 128,
  equals: 256,
  /** `"`, `+` and the grave accent, in hex. */
  dotnet: 512,
} as const;

/** A set of {@link ESCAPES}. */
export type EscapeStyle = number;

/** One more than the greatest style. */
export const STYLE_COUNT = 1024;

/** The style that writes an ASCII character in hex, by character. */
const HEX_STYLE = new Uint16Array(128);
/** By byte of UTF-8: the styles that would have escaped a character found raw. */
const RAW_FORBIDS = new Uint16Array(256);
for (const [characters, style] of [
  ['\x7f', ESCAPES.delete],
  ['<>&', ESCAPES.html],
  ["'", ESCAPES.apostrophe],
  ['=', ESCAPES.equals],
  ['"+`', ESCAPES.dotnet],
  ['\b\f', ESCAPES.longControls],
] as const) {
  for (const character of characters) {
    HEX_STYLE[character.charCodeAt(0)] = style;
    RAW_FORBIDS[character.charCodeAt(0)] = style;
  }
}
RAW_FORBIDS[0x2f] = ESCAPES.slash;
RAW_FORBIDS.fill(ESCAPES.ascii, 0x80);

const SHORT_LETTERS: ReadonlyMap<number, number> = new Map(
  Object.entries({
    '\b': 'b',
    '\t': 't',
    '\n': 'n',
    '\f': 'f',
    '\r': 'r',
    '"': '"',
    '\\': '\\',
    '/': '/',
  }).map(([character, letter]) => [character.charCodeAt(0), letter.charCodeAt(0)]),
);
/** The character that a short escape means, by its letter; 0 for other letters. */
const SHORT_MEANINGS = new Uint8Array(256);
for (const [character, letter] of SHORT_LETTERS) SHORT_MEANINGS[letter] = character;

const HEX_VALUES = new Uint8Array(256);
for (let value = 0; value < 16; value++) {
  HEX_VALUES[value.toString(16).charCodeAt(0)] = value;
  HEX_VALUES[value.toString(16).toUpperCase().charCodeAt(0)] = value;
}

const COPY = 0;
const IN_HEX = 1;
const IN_UTF16 = 2;
const MAYBE_LINE_SEPARATOR = 3;

interface StyleTable {
  /** What to do with a byte: one of the four actions above, or the letter of its short escape. */
  readonly action: Uint8Array;
  /** Output bytes per input byte, line separators aside. */
  readonly size: Uint8Array;
  readonly hexDigits: Uint8Array;
  readonly lineSeparators: boolean;
}

const styleTables = new Map<EscapeStyle, StyleTable>();

function tableOf(style: EscapeStyle): StyleTable {
  let table = styleTables.get(style);
  if (table === undefined) {
    table = buildTable(style);
    styleTables.set(style, table);
  }
  return table;
}

function buildTable(style: EscapeStyle): StyleTable {
  const action = new Uint8Array(256);
  const size = new Uint8Array(256).fill(1);
  for (let byte = 0; byte < 0x80; byte++) {
    const letter =
      byte === 0x2f && (style & ESCAPES.slash) === 0 ? undefined : SHORT_LETTERS.get(byte);
    if (((HEX_STYLE[byte] as number) & style) !== 0 || (byte < 0x20 && letter === undefined)) {
      action[byte] = IN_HEX;
      size[byte] = 6;
    } else if (letter !== undefined) {
      action[byte] = letter;
      size[byte] = 2;
    }
  }
  const lineSeparators = (style & ESCAPES.lineSeparators) !== 0 && (style & ESCAPES.ascii) === 0;
  if ((style & ESCAPES.ascii) !== 0) {
    action.fill(IN_UTF16, 0x80);
    size.fill(0, 0x80, 0xc0);
    size.fill(6, 0xc0, 0xf0);
    size.fill(12, 0xf0);
  } else if (lineSeparators) {
    action[0xe2] = MAYBE_LINE_SEPARATOR;
  }
  const digits = (style & ESCAPES.upperHex) !== 0 ? '0123456789ABCDEF' : '0123456789abcdef';
  return { action, size, hexDigits: Buffer.from(digits, 'latin1'), lineSeparators };
}

function isLineSeparator(text: Uint8Array, at: number): boolean {
  return text[at] === 0xe2 && text[at + 1] === 0x80 && ((text[at + 2] as number) & 0xfe) === 0xa8;
}

/**
 * Escapes text (valid UTF-8) in a style, without quotes. Returns the same buffer when nothing
 * changes.
 */
export function escapeText(text: Buffer, style: EscapeStyle): Buffer {
  const { action, size, hexDigits, lineSeparators } = tableOf(style);
  const length = text.length;
  let needed = 0;
  for (let at = 0; at < length; at++) needed += size[text[at] as number] as number;
  if (lineSeparators) {
    for (let at = text.indexOf(0xe2); at >= 0; at = text.indexOf(0xe2, at + 1)) {
      if (isLineSeparator(text, at)) needed += 3;
    }
  }
  // Every escape is longer than the character it replaces.
  if (needed === length) return text;

  const raw = Buffer.allocUnsafe(needed);
  let out = 0;
  const hex = (unit: number): void => {
    raw[out] = 0x5c;
    raw[out + 1] = 0x75;
    raw[out + 2] = hexDigits[unit >>> 12] as number;
    raw[out + 3] = hexDigits[(unit >>> 8) & 15] as number;
    raw[out + 4] = hexDigits[(unit >>> 4) & 15] as number;
    raw[out + 5] = hexDigits[unit & 15] as number;
    out += 6;
  };
  for (let at = 0; at < length; at++) {
    const byte = text[at] as number;
    const what = action[byte] as number;
    if (what === COPY) {
      raw[out++] = byte;
    } else if (what > MAYBE_LINE_SEPARATOR) {
      raw[out] = 0x5c;
      raw[out + 1] = what;
      out += 2;
    } else if (what === IN_HEX) {
      hex(byte);
    } else if (what === IN_UTF16) {
      if (byte < 0xe0) {
        hex(((byte & 0x1f) << 6) | ((text[at + 1] as number) & 0x3f));
        at += 1;
      } else if (byte < 0xf0) {
        hex(
          ((byte & 0x0f) << 12) |
            (((text[at + 1] as number) & 0x3f) << 6) |
            ((text[at + 2] as number) & 0x3f),
        );
        at += 2;
      } else {
        const point =
          ((byte & 0x07) << 18) |
          (((text[at + 1] as number) & 0x3f) << 12) |
          (((text[at + 2] as number) & 0x3f) << 6) |
          ((text[at + 3] as number) & 0x3f);
        hex(0xd800 + ((point - 0x10000) >>> 10));
        hex(0xdc00 + ((point - 0x10000) & 0x3ff));
        at += 3;
      }
    } else if (isLineSeparator(text, at)) {
      hex(0x2028 + ((text[at + 2] as number) & 1));
      at += 2;
    } else {
      raw[out++] = byte;
    }
  }
  return raw;
}

/** {@link escapeText} in steps; the pieces belong together. */
export function* escaping(text: Buffer, style: EscapeStyle): Steps<Buffer[]> {
  const pieces: Buffer[] = [];
  for (let start = 0; start < text.length; ) {
    const end = textStep(text, start);
    pieces.push(escapeText(text.subarray(start, end), style));
    start = end;
    if (start < text.length) yield;
  }
  return pieces;
}

/** A parsed JSON string, without its quotes. */
export interface Unescaped {
  /** UTF-8. */
  readonly text: Buffer;
  /** The smallest style that reproduces the raw bytes. */
  readonly style: EscapeStyle;
}

/**
 * Unescapes the content of a valid JSON string. `undefined` when no style reproduces the raw bytes:
 * lone surrogates (which UTF-8 cannot encode), needless or mixed escapes.
 */
export function unescapeText(raw: Buffer): Unescaped | undefined {
  const unescaped = new Unescaper(raw).advance(raw.length);
  if (unescaped === undefined) return undefined;
  return escapeText(unescaped.text, unescaped.style).equals(raw) ? unescaped : undefined;
}

/** {@link unescapeText} in steps. */
export function* unescaping(raw: Buffer): Steps<Unescaped | undefined> {
  if (raw.length <= STEP_BYTES) return unescapeText(raw);
  const unescaper = new Unescaper(raw);
  let unescaped: Unescaped | undefined;
  for (let limit = STEP_BYTES; !unescaper.isDone; limit += STEP_BYTES) {
    unescaped = unescaper.advance(Math.min(limit, raw.length));
    if (unescaped === undefined) return undefined;
    yield;
  }
  const { text, style } = unescaped as Unescaped;
  let compared = 0;
  for (let start = 0; start < text.length; ) {
    const end = textStep(text, start);
    const escaped = escapeText(text.subarray(start, end), style);
    if (!escaped.equals(raw.subarray(compared, compared + escaped.length))) return undefined;
    compared += escaped.length;
    start = end;
    yield;
  }
  return compared === raw.length ? unescaped : undefined;
}

/** Unescapes raw bytes and finds the only style that may reproduce them. */
class Unescaper {
  readonly #raw: Buffer;
  readonly #text: Buffer;
  #at = 0;
  #out = 0;
  #style = 0;
  #separators = false;

  constructor(raw: Buffer) {
    this.#raw = raw;
    this.#text = Buffer.allocUnsafe(raw.length);
  }

  get isDone(): boolean {
    return this.#at >= this.#raw.length;
  }

  /**
   * Unescapes as far as `limit`, or to the end of the escape there. Returns what it has by then;
   * `undefined` when there is no style.
   */
  advance(limit: number): Unescaped | undefined {
    const raw = this.#raw;
    const text = this.#text;
    let out = this.#out;
    let style = this.#style;
    let at = this.#at;
    while (at < limit) {
      const byte = raw[at] as number;
      if (byte !== 0x5c) {
        text[out++] = byte;
        at++;
        continue;
      }
      const letter = raw[at + 1] as number;
      if (letter !== 0x75) {
        if (letter === 0x2f) style |= ESCAPES.slash;
        text[out++] = SHORT_MEANINGS[letter] as number;
        at += 2;
        continue;
      }
      const unit = codeUnit(raw, at + 2);
      if (hasUpperHex(raw, at + 2)) style |= ESCAPES.upperHex;
      at += 6;
      if (unit < 0x80) {
        style |= HEX_STYLE[unit] as number;
        text[out++] = unit;
      } else if (unit < 0x800) {
        style |= ESCAPES.ascii;
        text[out++] = 0xc0 | (unit >>> 6);
        text[out++] = 0x80 | (unit & 0x3f);
      } else if (unit < 0xd800 || unit > 0xdfff) {
        if (unit === 0x2028 || unit === 0x2029) this.#separators = true;
        else style |= ESCAPES.ascii;
        text[out++] = 0xe0 | (unit >>> 12);
        text[out++] = 0x80 | ((unit >>> 6) & 0x3f);
        text[out++] = 0x80 | (unit & 0x3f);
      } else {
        if (unit > 0xdbff || raw[at] !== 0x5c || raw[at + 1] !== 0x75) return undefined;
        const low = codeUnit(raw, at + 2);
        if (low < 0xdc00 || low > 0xdfff) return undefined;
        if (hasUpperHex(raw, at + 2)) style |= ESCAPES.upperHex;
        at += 6;
        style |= ESCAPES.ascii;
        const point = 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
        text[out++] = 0xf0 | (point >>> 18);
        text[out++] = 0x80 | ((point >>> 12) & 0x3f);
        text[out++] = 0x80 | ((point >>> 6) & 0x3f);
        text[out++] = 0x80 | (point & 0x3f);
      }
    }
    this.#at = at;
    this.#out = out;
    this.#style = style;
    if (this.#separators && (style & ESCAPES.ascii) === 0) style |= ESCAPES.lineSeparators;
    return { text: text.subarray(0, out), style };
  }
}

/**
 * The bits that must not be added to the style of `raw` (a string that has a style), because they
 * would change its raw bytes. Any other bits may be added, so the strings of one record can share
 * one style.
 */
export function forbiddenEscapes(raw: Buffer): EscapeStyle {
  return finish(forbidding(raw));
}

/** {@link forbiddenEscapes} in steps. */
export function* forbidding(raw: Buffer): Steps<EscapeStyle> {
  let forbidden = 0;
  for (let at = 0; at < raw.length; ) {
    const start = at;
    const limit = Math.min(raw.length, start + STEP_BYTES);
    while (at < limit) {
      const byte = raw[at] as number;
      if (byte !== 0x5c) {
        forbidden |= RAW_FORBIDS[byte] as number;
        at++;
        continue;
      }
      const letter = raw[at + 1] as number;
      if (letter !== 0x75) {
        if (letter !== 0x2f) forbidden |= RAW_FORBIDS[SHORT_MEANINGS[letter] as number] as number;
        at += 2;
        continue;
      }
      if (hasLowerHex(raw, at + 2)) forbidden |= ESCAPES.upperHex;
      at += 6;
    }
    if ((forbidden & ESCAPES.ascii) !== 0 && hasLineSeparator(raw, start, at))
      forbidden |= ESCAPES.lineSeparators;
    if (at < raw.length) yield;
  }
  return forbidden;
}

/** Whether a line separator begins in this part of a text. */
function hasLineSeparator(raw: Buffer, start: number, end: number): boolean {
  const part = raw.subarray(start, end);
  for (let at = part.indexOf(0xe2); at >= 0; at = part.indexOf(0xe2, at + 1))
    if (isLineSeparator(raw, start + at)) return true;
  return false;
}

function codeUnit(raw: Buffer, at: number): number {
  return (
    ((HEX_VALUES[raw[at] as number] as number) << 12) |
    ((HEX_VALUES[raw[at + 1] as number] as number) << 8) |
    ((HEX_VALUES[raw[at + 2] as number] as number) << 4) |
    (HEX_VALUES[raw[at + 3] as number] as number)
  );
}

function hasUpperHex(raw: Buffer, at: number): boolean {
  for (let digit = at; digit < at + 4; digit++)
    if ((raw[digit] as number) >= 0x41 && (raw[digit] as number) <= 0x46) return true;
  return false;
}

function hasLowerHex(raw: Buffer, at: number): boolean {
  for (let digit = at; digit < at + 4; digit++) if ((raw[digit] as number) >= 0x61) return true;
  return false;
}
