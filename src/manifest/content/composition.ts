import { VarveError } from '../../core/errors.ts';
import { finish, STEP_BYTES, type Steps } from '../../core/steps.ts';
import type { Skeleton, StoredReference } from './body.ts';
import type { LoadedEntry } from './content-reader.ts';
import { ID_MARKER, JsonScanner, REFERENCE_MARKER, TYPED_MARKER } from './json-scanner.ts';
import { messagesAt } from './record.ts';

/** A conversation composed from its entries: the pieces of its skeleton, in order. */
export interface Composition<R> {
  readonly pieces: readonly Skeleton<R>[];
  readonly terminator: Buffer;
  readonly lead: Buffer;
}

/** A skeleton split where new messages go. */
export interface Split<R> {
  /** Up to and including the bracket that opens the array of messages. */
  readonly head: Skeleton<R>;
  /** From there to the end of the last message; empty when there is no message. */
  readonly messages: Skeleton<R>;
  /** The rest. */
  readonly tail: Skeleton<R>;
  /** Where each message ends in `messages.text`. */
  readonly ends: readonly number[];
}

const sharedScanner = new JsonScanner({ skeleton: true });

/** `undefined` when the skeleton has no array of messages. */
export function* splitting<R>(skeleton: Skeleton<R>): Steps<Split<R> | undefined> {
  // While a long skeleton waits for its next step, others may be scanned.
  const isLong = skeleton.text.length > STEP_BYTES;
  const scanner = isLong ? new JsonScanner({ skeleton: true }) : sharedScanner;
  try {
    yield* scanner.scanning(skeleton.text, Number.POSITIVE_INFINITY);
  } catch (error) {
    throw new VarveError('CORRUPT', "a conversation's skeleton is not JSON: run an audit", {
      cause: error,
    });
  }
  const open = messagesAt(scanner, skeleton.text);
  if (open < 0) return undefined;
  const ends = yield* findingEnds(skeleton.text, open);
  const [head, rest] = splitSkeleton(skeleton, open + 1);
  const [messages, tail] = splitSkeleton(rest, (ends.at(-1) ?? open + 1) - open - 1);
  return { head, messages, tail, ends: ends.map((end) => end - open - 1) };
}

/** Splits a skeleton at offset `at`. */
export function splitSkeleton<R>(
  { text, references }: Skeleton<R>,
  at: number,
): [Skeleton<R>, Skeleton<R>] {
  const before = text.subarray(0, at);
  const count = markerCount(before);
  return [
    { text: before, references: references.slice(0, count) },
    { text: text.subarray(at), references: references.slice(count) },
  ];
}

/** Joins pieces into one skeleton. */
export function joinSkeletons<R>(pieces: readonly Skeleton<R>[]): Skeleton<R> {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1) return only;
  return {
    text: Buffer.concat(pieces.map(({ text }) => text)),
    references: pieces.flatMap(({ references }) => references),
  };
}

/** @throws `CORRUPT` when the entries do not form a conversation. */
export function* composing(entries: readonly LoadedEntry[]): Steps<Composition<StoredReference>> {
  const first = entries.findLastIndex(({ kind }) => kind === 'record');
  const record = entries[first];
  if (record === undefined) throw damaged('does not begin with a whole record');
  if (first === entries.length - 1)
    return { pieces: [record], terminator: record.terminator, lead: record.lead };
  const split = yield* splitting(record);
  if (split === undefined) throw damaged('has messages added where no array is');
  let { head, tail } = split;
  let { terminator } = record;
  const messages: Skeleton<StoredReference>[] = [split.messages];
  for (const entry of entries.slice(first + 1)) {
    if (entry.envelope === undefined) {
      messages.push(entry);
      continue;
    }
    const [newHead, rest] = splitSkeleton(entry, entry.envelope.head);
    const [added, newTail] = splitSkeleton(rest, entry.envelope.messages);
    head = newHead;
    tail = newTail;
    terminator = entry.terminator;
    messages.push(added);
  }
  return { pieces: [head, ...messages, tail], terminator, lead: record.lead };
}

/**
 * Returns the end offsets of the elements of the array whose bracket is at `open`, in a text that a
 * scanner accepted. An element ends after its last byte; separators and white space lie between
 * elements.
 */
export function elementEnds(text: Buffer, open: number): number[] {
  return finish(findingEnds(text, open));
}

/** {@link elementEnds} in steps. */
function* findingEnds(text: Buffer, open: number): Steps<number[]> {
  const ends: number[] = [];
  let depth = 0;
  let last = -1;
  let pause = open + STEP_BYTES;
  for (let at = open + 1; at < text.length; at++) {
    if (at > pause) {
      yield;
      pause = at + STEP_BYTES;
    }
    const byte = text[at] as number;
    if (byte === 0x22) {
      at++;
      while (text[at] !== 0x22) at += text[at] === 0x5c ? 2 : 1;
      last = at + 1;
    } else if (byte === 0x7b || byte === 0x5b) {
      depth++;
    } else if (byte === 0x7d || byte === 0x5d) {
      if (depth === 0) {
        if (last >= 0) ends.push(last);
        return ends;
      }
      depth--;
      last = at + 1;
    } else if (byte === 0x2c && depth === 0) {
      ends.push(last);
    } else if (byte > 0x20 || byte === REFERENCE_MARKER) {
      last = at + 1;
    }
  }
  return ends;
}

function markerCount(text: Buffer): number {
  let count = 0;
  for (
    let at = text.indexOf(REFERENCE_MARKER);
    at >= 0;
    at = text.indexOf(REFERENCE_MARKER, at + 1)
  )
    count++;
  return count;
}

/** Receives the JSON text piece by piece, with the values of markers at their places. */
export interface SkeletonVisitor<R> {
  text(bytes: Buffer): void;
  reference(reference: R, index: number): void;
  id(): void;
  typedArray(): void;
}

/**
 * Visits the pieces of a conversation. References are numbered from 0 through all pieces.
 *
 * @throws `CORRUPT` when a piece has more or fewer markers than references.
 */
export function visitSkeleton<R>(
  pieces: readonly Skeleton<R>[],
  visitor: SkeletonVisitor<R>,
): void {
  let index = 0;
  for (const { text, references } of pieces) {
    let copied = 0;
    let used = 0;
    let reference = text.indexOf(REFERENCE_MARKER);
    let id = text.indexOf(ID_MARKER);
    let typed = text.indexOf(TYPED_MARKER);
    while (reference >= 0 || id >= 0 || typed >= 0) {
      const at = Math.min(reference >>> 0, id >>> 0, typed >>> 0);
      if (at > copied) visitor.text(text.subarray(copied, at));
      copied = at + 1;
      if (at === reference) {
        if (used === references.length) throw damaged('has fewer references than its text needs');
        visitor.reference(references[used++] as R, index++);
        reference = text.indexOf(REFERENCE_MARKER, copied);
      } else if (at === id) {
        visitor.id();
        id = text.indexOf(ID_MARKER, copied);
      } else {
        visitor.typedArray();
        typed = text.indexOf(TYPED_MARKER, copied);
      }
    }
    if (used !== references.length) throw damaged('has more references than its text needs');
    if (copied < text.length) visitor.text(text.subarray(copied));
  }
}

function damaged(how: string): VarveError {
  return new VarveError('CORRUPT', `a conversation's manifest ${how}: run an audit`);
}
