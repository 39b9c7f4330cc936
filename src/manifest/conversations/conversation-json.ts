import { isBytes } from '../../core/arguments.ts';
import { VarveError } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import { joining, STEP_BYTES, type Steps } from '../../core/steps.ts';
import type { Skeleton } from '../content/body.ts';
import { type JsonText, writingJson } from '../content/json-writer.ts';
import type { ConversationRecord, RecordEncoder } from '../content/record.ts';
import type { Reference } from '../content/reference.ts';

/**
 * Normalizes a caller's JSON text in UTF-8 to one line: removes a byte order mark, turns line
 * breaks into spaces. (JSON strings contain none.) Does not validate it. Copies the text in the
 * first step.
 */
export function* lineOfText(text: Uint8Array): Steps<Buffer> {
  const hasMark = text[0] === 0xef && text[1] === 0xbb && text[2] === 0xbf;
  return yield* unbroken(Buffer.from(hasMark ? text.subarray(3) : text));
}

function* unbroken(line: Buffer): Steps<Buffer> {
  for (let at = 0; at < line.length; ) {
    const limit = Math.min(line.length, at + STEP_BYTES);
    for (; at < limit; at++) if (line[at] === 0x0a || line[at] === 0x0d) line[at] = 0x20;
    if (at < line.length) yield;
  }
  let end = line.length;
  while (end > 0 && line[end - 1] === 0x20) end--;
  return line.subarray(0, end);
}

const OPENING = Buffer.from('{"messages":');
const CLOSING = Buffer.from('}');

/**
 * Makes a record that contains only the messages to append. Reads the messages in the first step.
 *
 * @throws as {@link writingJson}.
 */
export function* messagesText(messages: readonly unknown[] | Uint8Array): Steps<JsonText> {
  if (!isBytes(messages)) return yield* writingJson({ messages });
  const text = yield* lineOfText(messages);
  return { line: yield* joining([OPENING, text, CLOSING]), typedAt: [] };
}

/**
 * Encodes the record that {@link messagesText} made: the messages, without the brackets of their
 * array.
 *
 * @throws `INVALID_ARGUMENT` when `messages` is not an array, `MALFORMED_INPUT` when it is a text
 *   and not that of an array.
 */
export function* encodingMessages(
  messages: readonly unknown[] | Uint8Array,
  { line, typedAt }: JsonText,
  encoder: RecordEncoder,
): Steps<Skeleton<Reference>> {
  let record: ConversationRecord | undefined;
  try {
    record = yield* encoder.encoding(line, { typedAt });
  } catch (error) {
    // What is wrong with the record may be that it contains more than the messages.
    if (isBytes(messages)) assertArray(line);
    throw error;
  }
  const span = record.messages;
  const isAlone =
    span !== undefined &&
    skipSpace(line, OPENING.length) === span.start &&
    skipSpace(line, span.end) === line.length - CLOSING.length;
  if (!isAlone) {
    if (isBytes(messages)) assertArray(line);
    throw new VarveError('INVALID_ARGUMENT', 'the messages to append must be an array');
  }
  const { text, references } = record;
  const start = span.start + 1;
  let end = text.length - (line.length - span.end) - 1;
  while (end > start && isSpace(text[end - 1])) end--;
  return { text: text.subarray(start, end), references };
}

function skipSpace(text: Buffer, from: number): number {
  let at = from;
  while (isSpace(text[at])) at++;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}

/** @throws `MALFORMED_INPUT` unless the messages in a record that was made of them are an array. */
function assertArray(line: Buffer): void {
  const text = line.subarray(OPENING.length, line.length - CLOSING.length);
  const value = parseJson(text, (cause) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `the messages to append are not JSON: ${reason}`;
    return new VarveError('MALFORMED_INPUT', message, { cause });
  });
  if (!Array.isArray(value))
    throw new VarveError('MALFORMED_INPUT', 'the messages to append must be a JSON array');
}
