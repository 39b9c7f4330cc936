import { MAX_ID_BYTES, type ManifestFields } from '../../backends/contract/manifests.ts';
import { checkText } from '../../core/arguments.ts';
import { finish, STEP_BYTES, StepMeter, type Steps } from '../../core/steps.ts';
import type { Skeleton } from './body.ts';
import { base64Start, ContentEncoder, type Referring } from './content-encoder.ts';
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
import { Reference } from './reference.ts';
import { Slab } from './slab.ts';

/** A longer model or application name is not stored as a filter field. */
const LONGEST_FIELD_BYTES = 512;

const ARRAY = 0x5b;

/** What a span costs besides its bytes, as bytes of a step. */
const SPAN_BYTES = 256;

/** A conversation's line, split into a skeleton and references. */
export interface ConversationRecord extends Skeleton<Reference> {
  /** The id to store it under; `undefined` when the line has none and none was given. */
  readonly id: string | undefined;
  readonly fields: Omit<ManifestFields, 'logicalBytes'>;
  readonly hasMessages: boolean;
  readonly nonEmpty: boolean;
  /** Where the array of messages is in the line, brackets included. */
  readonly messages: { readonly start: number; readonly end: number } | undefined;
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
    return finish(this.encoding(line, options));
  }

  /** {@link encode} in steps. */
  *encoding(line: Buffer, options: EncodeOptions = {}): Steps<ConversationRecord> {
    // While a long line waits for its next step, others may be encoded.
    const scanner = line.length > STEP_BYTES ? new JsonScanner() : this.#scanner;
    yield* scanner.scanning(line, this.#longAt, options.typedAt);
    const written = idOf(scanner, line);
    const id = options.id ?? written;
    if (id !== undefined) checkId(id);
    const idStart = scanner.fieldStarts[FIELD.id] as number;
    const idEnd = scanner.fieldEnds[FIELD.id] as number;
    const marked = id !== undefined && id === written && isWrittenPlainly(line, idStart, idEnd, id);
    const { text, references } = yield* this.#skeleton(
      scanner,
      line,
      marked ? idStart + 1 : -1,
      marked ? idEnd - 1 : -1,
    );
    const field = messagesField(scanner, line);
    const at = field === undefined ? -1 : (scanner.fieldStarts[field] as number);
    const open = options.typedAt?.includes(at) ? -1 : at;
    const nonEmpty = open >= 0 && !closesAfter(line, open);
    const end = field === undefined ? -1 : (scanner.fieldEnds[field] as number);
    return {
      id,
      fields: fieldsOf(scanner, line),
      hasMessages: open >= 0,
      nonEmpty,
      messages: open < 0 ? undefined : { start: open, end },
      line,
      text,
      references,
    };
  }

  /** Replaces the noted spans of a line with markers, and its id if it has one. */
  *#skeleton(
    scanner: JsonScanner,
    line: Buffer,
    idStart: number,
    idEnd: number,
  ): Steps<Skeleton<Reference>> {
    const { starts, ends, kinds, spanCount } = scanner;
    const meter = new StepMeter();
    const references: Reference[] = [];
    // Adds one marker per span and one for the id; removes the spans.
    let size = line.length + spanCount + 1;
    for (let index = 0; index < spanCount; index++) {
      const start = starts[index] as number;
      const length = (ends[index] as number) - start;
      if (start !== idStart && kinds[index] !== SPAN.typed) {
        const reference = this.#refer(scanner, line, index);
        references.push(reference instanceof Reference ? reference : yield* reference);
      }
      size -= (ends[index] as number) - (starts[index] as number);
      if (meter.add(length + SPAN_BYTES)) yield;
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

  #refer({ starts, ends, kinds }: JsonScanner, line: Buffer, index: number): Referring {
    const kind = kinds[index];
    const start = starts[index] as number;
    const raw = line.subarray(start, ends[index]);
    if (kind === SPAN.tokens || kind === SPAN.spacedTokens)
      return this.content.tokens(raw, kind === SPAN.spacedTokens);
    if (kind === SPAN.escaped) return this.content.string(raw, true);
    const payload = base64Start(raw);
    if (payload < 0) return this.content.string(raw, false);
    return this.#dataUrl(raw, payload, () => {
      starts[index] = start + payload;
    });
  }

  /** Makes the reference for the payload of a data URL; for the whole when it is not canonical. */
  *#dataUrl(raw: Buffer, payload: number, narrow: () => void): Steps<Reference> {
    const referring = this.content.base64(raw.subarray(payload));
    const reference =
      referring instanceof Reference || referring === undefined ? referring : yield* referring;
    if (reference !== undefined) {
      narrow();
      return reference;
    }
    const whole = this.content.string(raw, false);
    return whole instanceof Reference ? whole : yield* whole;
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
  const field = messagesField(scanner, text);
  return field === undefined ? -1 : (scanner.fieldStarts[field] as number);
}

/** The field that holds the array of messages in scanned text. */
function messagesField(scanner: JsonScanner, text: Buffer): FieldCode | undefined {
  return [FIELD.messages, FIELD.conversations].find((field) => {
    const start = scanner.fieldStarts[field] as number;
    return start >= 0 && text[start] === ARRAY;
  });
}

/** Whether the array that opens at `open` is empty. */
function closesAfter(line: Buffer, open: number): boolean {
  let at = open + 1;
  while ((line[at] as number) <= 0x20) at++;
  return line[at] === 0x5d;
}
