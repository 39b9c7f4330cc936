import type {
  Locator,
  NewEntry,
  NewSegment,
  StoredEntry,
} from '../../backends/contract/manifests.ts';
import { ByteReader, ByteWriter } from '../../cas/codec/varint.ts';
import { ADDRESS_BYTES, type Address } from '../../core/address.ts';
import { VarveError } from '../../core/errors.ts';
import { addressing, StepMeter, type Steps } from '../../core/steps.ts';
import { chunkSegments } from './content-encoder.ts';
import { STYLE_COUNT } from './json-escapes.ts';
import { REFERENCE, type Reference } from './reference.ts';
import { Slab } from './slab.ts';

/**
 * The body of a manifest entry of kind `conversation`, format 1. The first k entries give a
 * conversation's content at revision k: the last RECORD among them (a whole conversation), then the
 * EXTENDs after it (added messages).
 *
 * ```
 * body     = version:u8 flags:u8 ( payload | spill )
 * version  = 1
 * flags    = 1 EXTEND (else RECORD) | 2 there is a messages array | 4 and it has elements
 *          | 8 the terminator is "\n"
 *          | 16 LEAD | 32 EXCEPTIONS | 64 SPILLED | 128 ENVELOPE (EXTEND only)
 * spill    = count:varint sha256:32 bytes  the payload is the content of the entry's last `count`
 *                                          segments
 * payload  = style:varint                  escape style that references have unless excepted
 *            [EXCEPTIONS: n:varint gap:varint*n kind:varint*n count:varint*c sha256:32 bytes*c]
 *            [unless the terminator is "\n": length:varint bytes]
 *            [LEAD: length:varint bytes]
 *            [ENVELOPE: headLength:varint messagesLength:varint]
 *            skeleton                      the rest
 * ```
 *
 * A skeleton is JSON text as written, with three marker bytes that valid JSON never contains: 0x01
 * replaces extracted content (the text of a string, the ids of a token array), one of the entry's
 * references each, in order; 0x02 replaces the conversation's id as `JSON.stringify` writes it,
 * without quotes; 0x03 marks the array after it as a `Uint32Array`. A reference is one segment of
 * text in the payload's escape style, unless excepted: `gap` is the number of references between it
 * and the exception before, `kind` is twice a {@link REFERENCE} code, plus one when the content is
 * cut into `count` segments whose concatenation has that SHA-256 (`count` and `sha256` are columns
 * over the c such references).
 *
 * The terminator is all bytes between the record and the next one (`\r\n`, blank lines …); the lead
 * is the bytes before the first record of a file. The skeleton of an EXTEND goes after the last
 * message and includes its own separators; with ENVELOPE a new text for what precedes the messages
 * comes before it, and one for what follows them comes after it.
 */
const VERSION = 1;

const FLAG = {
  extend: 1,
  hasMessages: 2,
  nonEmpty: 4,
  lineFeed: 8,
  lead: 16,
  exceptions: 32,
  spilled: 64,
  envelope: 128,
} as const;

/** A longer payload is stored in segments, whose number has no limit. */
const LONGEST_PAYLOAD = 1024 * 1024;

/** The terminator of nearly all records. */
export const LINE_FEED = Buffer.from('\n');
export const NOTHING = Buffer.alloc(0);

/** JSON text without its long content, and references to that content in order. */
export interface Skeleton<R> {
  readonly text: Buffer;
  readonly references: readonly R[];
}

/** An entry without its references. */
export interface EntryShape {
  readonly kind: 'record' | 'extend';
  /** Whether the conversation has an array of messages after this entry. */
  readonly hasMessages: boolean;
  /** Whether that array has elements after this entry. */
  readonly nonEmpty: boolean;
  readonly terminator: Buffer;
  readonly lead: Buffer;
  /**
   * In an EXTEND that replaces the envelope: lengths in the skeleton of what precedes the messages,
   * and of the messages.
   */
  readonly envelope: { readonly head: number; readonly messages: number } | undefined;
}

/** Content that a stored entry refers to. */
export interface StoredReference {
  /** A {@link REFERENCE} code. */
  readonly code: number;
  readonly locators: readonly Locator[];
  /** SHA-256 of the whole content when it is cut into chunks. */
  readonly digest: Address | undefined;
}

/** The style that most strings of a record can share; see {@link forbiddenEscapes}. */
function sharedStyle(references: readonly Reference[]): number {
  let style = 0;
  for (const { code } of references) if (code >= REFERENCE.text) style |= code - REFERENCE.text;
  return style;
}

/** Encodes an entry for the backend. */
export function* encodingEntry(
  shape: EntryShape,
  { text, references }: Skeleton<Reference>,
): Steps<NewEntry> {
  const style = sharedStyle(references);
  const common = REFERENCE.text + style;
  const segments: NewSegment[] = [];
  const exceptions: number[] = [];
  const meter = new StepMeter();
  for (let index = 0; index < references.length; index++) {
    const reference = references[index] as Reference;
    if (reference.isLong) yield* reference.reading(common);
    else if (meter.add(reference.rawBytes)) yield;
    if (reference.digest !== undefined || !reference.writtenAlsoBy(common)) exceptions.push(index);
    for (const segment of reference.segments) segments.push(segment);
  }
  const lineFeed = shape.terminator.length === 1 && shape.terminator[0] === 0x0a;
  let flags =
    (shape.kind === 'extend' ? FLAG.extend : 0) |
    (shape.hasMessages ? FLAG.hasMessages : 0) |
    (shape.nonEmpty ? FLAG.nonEmpty : 0) |
    (lineFeed ? FLAG.lineFeed : 0) |
    (shape.lead.length > 0 ? FLAG.lead : 0) |
    (exceptions.length > 0 ? FLAG.exceptions : 0) |
    (shape.envelope === undefined ? 0 : FLAG.envelope);

  const header = headerWriter;
  header.clear();
  header.varint(VERSION);
  header.varint(0);
  header.varint(style);
  if (exceptions.length > 0) writeExceptions(header, exceptions, references);
  if (!lineFeed) header.prefixed(shape.terminator);
  if (shape.lead.length > 0) header.prefixed(shape.lead);
  if (shape.envelope !== undefined) {
    header.varint(shape.envelope.head);
    header.varint(shape.envelope.messages);
  }
  const body = bodies.take(header.length + text.length);
  body.set(header.view());
  body.set(text, header.length);
  if (body.length <= LONGEST_PAYLOAD) {
    body[1] = flags;
    return { body, segments };
  }
  flags |= FLAG.spilled;
  const spilled = body.subarray(2);
  const chunks = yield* chunkSegments(spilled);
  for (const chunk of chunks) segments.push(chunk);
  const spill = new ByteWriter(64);
  spill.bytes(Uint8Array.of(VERSION, flags));
  spill.varint(chunks.length);
  spill.hex(yield* addressing(spilled));
  return { body: spill.finish(), segments };
}

const headerWriter = new ByteWriter();
const bodies = new Slab();

function writeExceptions(
  header: ByteWriter,
  exceptions: readonly number[],
  references: readonly Reference[],
): void {
  header.varint(exceptions.length);
  let previous = -1;
  for (const index of exceptions) {
    header.varint(index - previous - 1);
    previous = index;
  }
  const excepted = exceptions.map((index) => references[index] as Reference);
  for (const { code, digest } of excepted) header.varint(code * 2 + (digest === undefined ? 0 : 1));
  const chunked = excepted.filter(({ digest }) => digest !== undefined);
  for (const { segments } of chunked) header.varint(segments.length);
  for (const { digest } of chunked) header.hex(digest as Address);
}

/** A stored entry whose payload may have to be fetched first. */
export interface EntryHead {
  readonly kind: 'record' | 'extend';
  readonly hasMessages: boolean;
  readonly nonEmpty: boolean;
}

/**
 * Decodes the first bytes of a body.
 *
 * @throws `UNSUPPORTED_FORMAT` when a newer Varve wrote it.
 */
export function entryHead(body: Uint8Array): EntryHead {
  const flags = flagsOf(body);
  return {
    kind: (flags & FLAG.extend) === 0 ? 'record' : 'extend',
    hasMessages: (flags & FLAG.hasMessages) !== 0,
    nonEmpty: (flags & FLAG.nonEmpty) !== 0,
  };
}

/**
 * The segments that contain the payload of a spilled entry, and its SHA-256; `undefined` for other
 * entries.
 */
export function spillOf(
  entry: StoredEntry,
): { readonly locators: readonly Locator[]; readonly digest: Address } | undefined {
  if ((flagsOf(entry.body) & FLAG.spilled) === 0) return undefined;
  const reader = new ByteReader(entry.body.subarray(2), 'manifest body');
  const count = reader.varint();
  const digest = reader.hex(ADDRESS_BYTES) as Address;
  reader.end();
  if (count > entry.segments.length) throw damaged('has fewer segments than its payload');
  return { locators: entry.segments.slice(entry.segments.length - count), digest };
}

/**
 * Decodes what {@link encodingEntry} encoded.
 *
 * @param spilled - the payload, for entries that have a {@link spillOf}
 * @throws `CORRUPT` when the body is damaged, `UNSUPPORTED_FORMAT` when a newer Varve wrote it.
 */
export function decodeEntry(
  entry: StoredEntry,
  spilled?: Buffer,
): EntryShape & Skeleton<StoredReference> {
  const flags = flagsOf(entry.body);
  const reader = new ByteReader(spilled ?? entry.body.subarray(2), 'manifest body');
  const spill = spillOf(entry);
  const locators =
    spill === undefined
      ? entry.segments
      : entry.segments.slice(0, entry.segments.length - spill.locators.length);
  const style = reader.varint();
  if (style >= STYLE_COUNT)
    throw new VarveError('UNSUPPORTED_FORMAT', unknown(`escape style ${style}`));
  const references =
    (flags & FLAG.exceptions) === 0
      ? locators.map((locator) => ({
          code: REFERENCE.text + style,
          locators: [locator],
          digest: undefined,
        }))
      : readReferences(reader, REFERENCE.text + style, locators);
  const terminator = (flags & FLAG.lineFeed) === 0 ? reader.prefixed() : LINE_FEED;
  const lead = (flags & FLAG.lead) === 0 ? NOTHING : reader.prefixed();
  const envelope =
    (flags & FLAG.envelope) === 0
      ? undefined
      : { head: reader.varint(), messages: reader.varint() };
  const text = reader.rest();
  if (envelope !== undefined && envelope.head + envelope.messages > text.length)
    throw damaged('has a cut envelope');
  return {
    kind: (flags & FLAG.extend) === 0 ? 'record' : 'extend',
    hasMessages: (flags & FLAG.hasMessages) !== 0,
    nonEmpty: (flags & FLAG.nonEmpty) !== 0,
    terminator,
    lead,
    envelope,
    text,
    references,
  };
}

function readReferences(
  reader: ByteReader,
  common: number,
  locators: readonly Locator[],
): StoredReference[] {
  const count = reader.varint();
  if (count > reader.remaining) throw damaged('has more exceptions than bytes');
  const indexes: number[] = [];
  let previous = -1;
  for (let n = 0; n < count; n++) {
    previous += reader.varint() + 1;
    indexes.push(previous);
  }
  const kinds = indexes.map(() => reader.varint());
  if (kinds.some((kind) => kind >= (REFERENCE.text + STYLE_COUNT) * 2)) {
    throw new VarveError('UNSUPPORTED_FORMAT', unknown('kind of reference'));
  }
  const counts = kinds.map((kind) => (kind % 2 === 1 ? reader.varint() : 1));
  const digests = kinds.map((kind) =>
    kind % 2 === 1 ? (reader.hex(ADDRESS_BYTES) as Address) : undefined,
  );
  const references: StoredReference[] = [];
  let at = 0;
  for (let n = 0; n < count; n++) {
    while (references.length < (indexes[n] as number) && at < locators.length) {
      references.push({ code: common, locators: locators.slice(at, ++at), digest: undefined });
    }
    const end = at + (counts[n] as number);
    if (references.length !== indexes[n] || end > locators.length)
      throw damaged('has fewer segments than references');
    references.push({
      code: (kinds[n] as number) >>> 1,
      locators: locators.slice(at, end),
      digest: digests[n],
    });
    at = end;
  }
  while (at < locators.length)
    references.push({ code: common, locators: locators.slice(at, ++at), digest: undefined });
  return references;
}

function flagsOf(body: Uint8Array): number {
  if (body[0] !== VERSION) {
    if (body.length === 0) throw damaged('is empty');
    throw new VarveError('UNSUPPORTED_FORMAT', unknown(`format ${body[0]}`));
  }
  if (body.length < 2) throw damaged('ends after its version');
  return body[1] as number;
}

function unknown(what: string): string {
  return (
    `a conversation's manifest has ${what}, which this version of Varve does not know: ` +
    'upgrade Varve'
  );
}

function damaged(how: string): VarveError {
  return new VarveError('CORRUPT', `a conversation's manifest body ${how}`);
}
