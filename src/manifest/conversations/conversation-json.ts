import { isBytes } from '../../core/arguments.ts';
import { VarveError } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import { type JsonText, jsonText } from '../content/json-writer.ts';

/**
 * Normalizes a caller's JSON text in UTF-8 to one line: removes a byte order mark, turns line
 * breaks into spaces. (JSON strings contain none.) Does not validate it.
 */
export function lineOfText(text: Uint8Array): Buffer {
  const hasMark = text[0] === 0xef && text[1] === 0xbb && text[2] === 0xbf;
  const line = Buffer.from(hasMark ? text.subarray(3) : text);
  for (let at = 0; at < line.length; at++)
    if (line[at] === 0x0a || line[at] === 0x0d) line[at] = 0x20;
  let end = line.length;
  while (end > 0 && line[end - 1] === 0x20) end--;
  return line.subarray(0, end);
}

/**
 * Makes a record that contains only the messages to append.
 *
 * @throws as {@link jsonText}; `MALFORMED_INPUT` when a text is not a JSON array.
 */
export function messagesText(messages: readonly unknown[] | Uint8Array): JsonText {
  if (!isBytes(messages)) return jsonText({ messages });
  const text = lineOfText(messages);
  assertArray(text);
  return {
    line: Buffer.concat([Buffer.from('{"messages":'), text, Buffer.from('}')]),
    typedAt: [],
  };
}

function assertArray(text: Buffer): void {
  const value = parseJson(text, (cause) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `the messages to append are not JSON: ${reason}`;
    return new VarveError('MALFORMED_INPUT', message, { cause });
  });
  if (!Array.isArray(value))
    throw new VarveError('MALFORMED_INPUT', 'the messages to append must be a JSON array');
}
