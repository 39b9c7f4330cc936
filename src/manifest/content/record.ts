import { MAX_ID_BYTES, type ManifestFields } from '../../backends/contract/manifests.ts';
import { checkText } from '../../core/arguments.ts';
import type { Skeleton } from './body.ts';
import { ContentEncoder } from './content-encoder.ts';
import { parseCreated } from './created.ts';
import {
  FIELD,
  type FieldCode,
  ID_MARKER,
  JsonScanner,
  REFERENCE_MARKER,
  SPAN,
  TYPED_MARKER,
} from './json-scanner.ts';
import type { Reference } from './reference.ts';
import { Slab } from './slab.ts';

/** A longer model or application name is not stored as a filter field. */
const LONGEST_FIELD_BYTES = 512;

/** A conversation's line, split into a skeleton and references. */
export interface ConversationRecord extends Skeleton<Reference> {
  /** The id to store it under; `undefined` when the line has none and none was given. */
  readonly id: string | undefined;
  readonly fields: Omit<ManifestFields, 'logicalBytes'>;
  readonly hasMessages: boolean;
  readonly nonEmpty: boolean;
  /** The JSON text as it was given. */
  readonly line: Buffer;
}

export interface EncodeOptions {
  /** The id to store it under; overrides that of the line. */
  readonly id?: string;
  /** Offsets of the brackets of arrays that are token arrays under any key, ascending. */
  readonly typedAt?: readonly number[];
}

/**
 * Encodes the lines of conversations. One encoder serves many lines, because it remembers repeated
 * content.
 */
export class RecordEncoder {
  readonly content = new ContentEncoder();
  readonly #scanner = new JsonScanner();
  readonly #slab = new Slab();
  readonly #longAt: number;

  /** @param inlineBelow - strings of at least this many bytes become segments */
  constructor(inlineBelow: number) {
    this.#longAt = Math.max(1, inlineBelow);
  }

  /**
   * @throws `MALFORMED_INPUT` when the line is not a JSON object, `INVALID_ARGUMENT` when its id is
   *   invalid. The result refers to `line`, which must not change until the record is committed.
   */
  encode(line: Buffer, options: EncodeOptions = {}): ConversationRecord {
    const scanner = this.#scanner;
    scanner.scan(line, this.#longAt, options.typedAt);
    const written = idOf(scanner, line);
    const id = options.id ?? written;
    if (id !== undefined) checkId(id);
    const idStart = scanner.fieldStarts[FIELD.id] as number;
    const idEnd = scanner.fieldEnds[FIELD.id] as number;
    const marked = id !== undefined && id === written && isWrittenPlainly(line, idStart, idEnd, id);
    const { text, references } = this.#skeleton(
      line,
      marked ? idStart + 1 : -1,
      marked ? idEnd - 1 : -1,
    );
    const at = messagesAt(scanner, line);
    const open = options.typedAt?.includes(at) ? -1 : at;
    const nonEmpty = open >= 0 && !closesAfter(line, open);
    return {
      id,
      fields: fieldsOf(scanner, line),
      hasMessages: open >= 0,
      nonEmpty,
      line,
      text,
      references,
    };
  }

  /** Replaces the noted spans of a line with markers, and its id if it has one. */
  #skeleton(line: Buffer, idStart: number, idEnd: number): Skeleton<Reference> {
    const { starts, ends, kinds, spanCount } = this.#scanner;
    const references: Reference[] = [];
    // Adds one marker per span and one for the id; removes the spans.
    let size = line.length + spanCount + 1;
    for (let index = 0; index < spanCount; index++) {
      const start = starts[index] as number;
      const reference = start === idStart ? undefined : this.#refer(line, index);
      if (reference !== undefined) references.push(reference);
      size -= (ends[index] as number) - (starts[index] as number);
    }
    const text = this.#slab.take(size);
    let out = 0;
    let copied = 0;
    const replace = (start: number, end: number, marker: number): void => {
      out += line.copy(text, out, copied, start);
      text[out++] = marker;
      copied = end;
    };
    let idPending = idStart >= 0;
    for (let index = 0; index < spanCount; index++) {
      const start = starts[index] as number;
      if (idPending && idStart <= start) {
        replace(idStart, idEnd, ID_MARKER);
        idPending = false;
      }
      if (start !== idStart)
        replace(
          start,
          ends[index] as number,
          kinds[index] === SPAN.typed ? TYPED_MARKER : REFERENCE_MARKER,
        );
    }
    if (idPending) replace(idStart, idEnd, ID_MARKER);
    out += line.copy(text, out, copied, line.length);
    return { text: text.subarray(0, out), references };
  }

  /** Makes the reference for a span; narrows the span of a data URL to its payload. */
  #refer(line: Buffer, index: number): Reference | undefined {
    const { starts, ends, kinds } = this.#scanner;
    const kind = kinds[index];
    if (kind === SPAN.typed) return undefined;
    const start = starts[index] as number;
    const raw = line.subarray(start, ends[index]);
    if (kind === SPAN.tokens || kind === SPAN.spacedTokens)
      return this.content.tokens(raw, kind === SPAN.spacedTokens);
    if (kind === SPAN.escaped) return this.content.string(raw, true);
    const payload = this.content.base64Start(raw);
    if (payload < 0) return this.content.string(raw, false);
    starts[index] = start + payload;
    return this.content.base64(raw.subarray(payload));
  }
}

/**
 * @throws `INVALID_ARGUMENT` unless `id` is a non-empty well-formed string of at most 512 bytes of
 * UTF-8.
 */
export function checkId(id: unknown): asserts id is string {
  checkText('a conversation id', id, { most: MAX_ID_BYTES });
}

/**
 * The id in a line: a string, or an integer, which counts as its decimal digits. Null means no id.
 */
function idOf(scanner: JsonScanner, line: Buffer): string | undefined {
  const start = scanner.fieldStarts[FIELD.id] as number;
  if (start < 0) return undefined;
  const end = scanner.fieldEnds[FIELD.id] as number;
  if (line[start] === 0x22) return stringOf(line, start, end);
  const raw = line.subarray(start, Math.min(end, start + 20)).toString('latin1');
  return /^(0|[1-9]\d{0,15})$/.test(raw) ? raw : undefined;
}

/**
 * Whether the id is written as `JSON.stringify` writes it. Without a backslash there is only one
 * way to write it.
 */
function isWrittenPlainly(line: Buffer, start: number, end: number, id: string): boolean {
  if (line[start] !== 0x22) return false;
  return (
    !hasBackslash(line, start, end) || line.toString('utf8', start, end) === JSON.stringify(id)
  );
}

function hasBackslash(line: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (line[at] === 0x5c) return true;
  return false;
}

function fieldsOf(scanner: JsonScanner, line: Buffer): Omit<ManifestFields, 'logicalBytes'> {
  const model = shortString(scanner, line, FIELD.model);
  const application = shortString(scanner, line, FIELD.application);
  const createdAt =
    createdOf(scanner, line, FIELD.created_at) ?? createdOf(scanner, line, FIELD.created);
  const fields: { model?: string; application?: string; createdAt?: number } = {};
  if (model !== undefined) fields.model = model;
  if (application !== undefined) fields.application = application;
  if (createdAt !== undefined) fields.createdAt = createdAt;
  return fields;
}

function shortString(scanner: JsonScanner, line: Buffer, field: FieldCode): string | undefined {
  const start = scanner.fieldStarts[field] as number;
  const end = scanner.fieldEnds[field] as number;
  if (start < 0 || line[start] !== 0x22 || end - start > LONGEST_FIELD_BYTES) return undefined;
  const value = stringOf(line, start, end);
  return value !== '' && value.isWellFormed() ? value : undefined;
}

function createdOf(scanner: JsonScanner, line: Buffer, field: FieldCode): number | undefined {
  const start = scanner.fieldStarts[field] as number;
  const end = scanner.fieldEnds[field] as number;
  if (start < 0 || end - start > 64) return undefined;
  return parseCreated(
    line[start] === 0x22 ? stringOf(line, start, end) : Number(line.toString('latin1', start, end)),
  );
}

/** The string between the quotes at `start` and before `end`. */
function stringOf(line: Buffer, start: number, end: number): string {
  if (hasBackslash(line, start, end)) return JSON.parse(line.toString('utf8', start, end));
  return line.toString('utf8', start + 1, end - 1);
}

/** Offset of the bracket of the array of messages in scanned text; −1 when there is none. */
export function messagesAt(scanner: JsonScanner, text: Buffer): number {
  const messages = scanner.fieldStarts[FIELD.messages] as number;
  if (messages >= 0 && text[messages] === 0x5b) return messages;
  const conversations = scanner.fieldStarts[FIELD.conversations] as number;
  return conversations >= 0 && text[conversations] === 0x5b ? conversations : -1;
}

/** Whether the array that opens at `open` is empty. */
function closesAfter(line: Buffer, open: number): boolean {
  let at = open + 1;
  while ((line[at] as number) <= 0x20) at++;
  return line[at] === 0x5d;
}
