import { tokenSegmentBytes } from '../cas/token-segment.ts';
import { VarveError } from '../errors.ts';
import { printTokens } from './token-array.ts';

/** A JavaScript value as JSON text. */
export interface JsonText {
  readonly line: Buffer;
  /** Offsets of the brackets of arrays that were a `Uint32Array`, ascending. */
  readonly typedAt: readonly number[];
}

/**
 * The value as `JSON.stringify` writes it, a `Uint32Array` as an array of numbers.
 *
 * @throws `INVALID_ARGUMENT` for what JSON would silently alter (numbers that are not finite, functions, other typed
 *   arrays, maps, sets, errors) or cannot write (bigints, cycles); `TOO_LARGE` when the text is longer than a JavaScript string can be.
 */
export function jsonText(value: object): JsonText {
  // Unguessable, so no content can be mistaken for a placeholder.
  const nonce = crypto.randomUUID();
  const typed: Uint32Array[] = [];
  // A function of its own `this`: only there is a value as it was before its toJSON.
  function replace(this: Record<string, unknown>, key: string, current: unknown): unknown {
    const original = this[key];
    if (original instanceof Uint32Array) {
      typed.push(original);
      return `${nonce}${typed.length - 1}`;
    }
    const reason = Array.isArray(this) && original === undefined ? 'JSON would make null of it' : unwritable(original);
    if (reason !== undefined) throw new VarveError('INVALID_ARGUMENT', `${JSON.stringify(key)}: ${reason}`);
    return current;
  }
  let text: string | undefined;
  try {
    text = JSON.stringify(value, replace);
  } catch (error) {
    throw error instanceof VarveError ? error : stringifyFailure(error);
  }
  if (text === undefined || text[0] !== '{')
    throw new VarveError('INVALID_ARGUMENT', 'a conversation must be an object');
  return typed.length === 0 ? { line: Buffer.from(text), typedAt: [] } : insertTokens(text, nonce, typed);
}

/**
 * A JSON text that a caller gives in UTF-8, on one line: a byte order mark goes, line breaks become spaces. (Inside
 * strings JSON has none.) It is not looked at otherwise.
 */
export function lineOfText(text: Uint8Array): Buffer {
  const hasMark = text[0] === 0xef && text[1] === 0xbb && text[2] === 0xbf;
  const line = Buffer.from(hasMark ? text.subarray(3) : text);
  for (let at = 0; at < line.length; at++) if (line[at] === 0x0a || line[at] === 0x0d) line[at] = 0x20;
  let end = line.length;
  while (end > 0 && line[end - 1] === 0x20) end--;
  return line.subarray(0, end);
}

/**
 * Messages to append, as a record that holds nothing else.
 *
 * @throws as {@link jsonText}; `MALFORMED_INPUT` when a text is not a JSON array.
 */
export function messagesText(messages: readonly unknown[] | Uint8Array): JsonText {
  if (!(messages instanceof Uint8Array)) return jsonText({ messages });
  const text = lineOfText(messages);
  assertArray(text);
  return { line: Buffer.concat([Buffer.from('{"messages":'), text, Buffer.from('}')]), typedAt: [] };
}

function assertArray(text: Buffer): void {
  let value: unknown;
  try {
    value = JSON.parse(text.toString('utf8'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new VarveError('MALFORMED_INPUT', `the messages to append are not JSON: ${reason}`, { cause });
  }
  if (!Array.isArray(value)) throw new VarveError('MALFORMED_INPUT', 'the messages to append must be a JSON array');
}

function insertTokens(text: string, nonce: string, typed: readonly Uint32Array[]): JsonText {
  const pieces: Buffer[] = [];
  const typedAt: number[] = [];
  let length = 0;
  const push = (piece: Buffer): void => {
    pieces.push(piece);
    length += piece.length;
  };
  let copied = 0;
  for (const [index, ids] of typed.entries()) {
    const placeholder = `"${nonce}${index}"`;
    const at = text.indexOf(placeholder, copied);
    push(Buffer.from(text.slice(copied, at)));
    typedAt.push(length);
    push(Buffer.from('['));
    push(printTokens(tokenSegmentBytes(ids), false));
    push(Buffer.from(']'));
    copied = at + placeholder.length;
  }
  push(Buffer.from(text.slice(copied)));
  return { line: Buffer.concat(pieces), typedAt };
}

function unwritable(value: unknown): string | undefined {
  if (typeof value === 'number')
    return Number.isFinite(value) ? undefined : `${value} is no number that JSON can write`;
  if (typeof value === 'function' || typeof value === 'symbol') return `JSON would drop a ${typeof value}`;
  if (typeof value === 'bigint') return 'JSON cannot write a bigint: use a number or a string';
  if (typeof value !== 'object' || value === null) return undefined;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    return 'of binary values only Uint32Array (token ids) can be stored: use a base64 data URL';
  }
  const hollow = [Map, Set, RegExp, Error, Promise].find((type) => value instanceof type);
  if (hollow !== undefined) return `JSON would drop the content of a ${hollow.name}`;
  return undefined;
}

function stringifyFailure(error: unknown): VarveError {
  if (error instanceof RangeError && /string length/i.test(error.message)) {
    return new VarveError(
      'TOO_LARGE',
      'the conversation is longer than a JavaScript string can be: import it as JSONL',
      {
        cause: error,
      },
    );
  }
  if (error instanceof RangeError) {
    return new VarveError('TOO_LARGE', 'the conversation is nested too deeply for JSON.stringify: import it as JSONL', {
      cause: error,
    });
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new VarveError('INVALID_ARGUMENT', `the conversation cannot be written as JSON: ${reason}`, { cause: error });
}
