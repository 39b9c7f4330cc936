import { isDeepStrictEqual } from 'node:util';
import type { AbortOptions } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import { isVarveError, VarveError } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import { inTurns } from '../../core/steps.ts';
import type { EntryShape, Skeleton } from '../content/body.ts';
import { type Split, splitSkeleton, splitting } from '../content/composition.ts';
import type { ConversationRecord } from '../content/record.ts';
import type { Reference } from '../content/reference.ts';

/** Content by address, and how it is written. */
export interface AddressedReference {
  readonly code: number;
  readonly address: Address;
}

/** A conversation that a longer history may continue. */
export interface History {
  /** `undefined` when it has no array of messages. */
  readonly split: Split<AddressedReference> | undefined;
  /** Loads the whole JSON text. */
  readonly text: () => Promise<Buffer>;
  /** Whether the newest state, or an earlier one, {@link covers} a JSON text. */
  readonly knew: (line: Buffer) => Promise<boolean>;
}

/** How a record continues a history. */
export type Continuation =
  | { readonly status: 'unchanged' }
  | {
      readonly status: 'extend';
      readonly envelope: EntryShape['envelope'];
      readonly skeleton: Skeleton<Reference>;
    }
  /** Same messages, written differently: the whole record is stored. */
  | { readonly status: 'rewrite' };

/** Makes a history of a record, given the one before it. */
export async function historyOf(
  record: ConversationRecord,
  before: History | undefined,
  { signal }: AbortOptions,
): Promise<History> {
  const skeleton = { text: record.text, references: record.references.map(addressed) };
  return {
    split: await inTurns(splitting(skeleton), signal),
    text: async () => record.line,
    knew: async (line) =>
      covers(record.line, line) || (before !== undefined && (await before.knew(line))),
  };
}

/**
 * Compares a whole history with what is stored. A prefix of the stored one with the same other
 * fields, and every earlier state, is `unchanged`: so importing a growing log again changes
 * nothing. The same messages with other fields replace the fields.
 *
 * @throws `CONFLICT` naming the first message that differs, or when a shorter history has other
 *   fields.
 */
export async function continuation(
  stored: History,
  record: ConversationRecord,
  { signal }: AbortOptions,
): Promise<Continuation> {
  const added = await inTurns(splitting(record), signal);
  if (stored.split === undefined || added === undefined) {
    if (deepEqual(parse(await stored.text()), parse(record.line))) return { status: 'unchanged' };
    throw conflict(record.id, 'one of the two has no array of messages');
  }
  const common = Math.min(stored.split.ends.length, added.ends.length);
  const longer = added.ends.length > common;
  const [known] = splitSkeleton(stored.split.messages, stored.split.ends[common - 1] ?? 0);
  const [repeated, extension] = splitSkeleton(added.messages, added.ends[common - 1] ?? 0);
  if (!writtenAlike(known, repeated)) {
    const differs = firstDifference(parse(await stored.text()), parse(record.line), common);
    if (differs >= 0)
      throw conflict(record.id, `message ${differs} (counted from 0) differs from the stored one`);
    if (!longer && (await isKnown(stored, record, added.ends.length)))
      return { status: 'unchanged' };
    return { status: 'rewrite' };
  }
  if (writtenAlike(stored.split.head, added.head) && writtenAlike(stored.split.tail, added.tail)) {
    return longer
      ? { status: 'extend', envelope: undefined, skeleton: extension }
      : { status: 'unchanged' };
  }
  if (!longer && (await isKnown(stored, record, added.ends.length))) return { status: 'unchanged' };
  const pieces = [added.head, extension, added.tail];
  return {
    status: 'extend',
    envelope: { head: added.head.text.length, messages: extension.text.length },
    skeleton: {
      text: Buffer.concat(pieces.map(({ text }) => text)),
      references: pieces.flatMap(({ references }) => references),
    },
  };
}

/**
 * Whether a history that is not longer than the stored one contains nothing new.
 *
 * @throws `CONFLICT` when it is shorter and contains something new: storing it would hide messages.
 */
async function isKnown(
  stored: History,
  record: ConversationRecord,
  messages: number,
): Promise<boolean> {
  if (await stored.knew(record.line)) return true;
  if (messages === messagesIn(parse(await stored.text())).length) return false;
  throw conflict(
    record.id,
    'it has fewer messages, and other fields than any state of it that was stored',
  );
}

/**
 * Whether a JSON text contains nothing beyond a state: the same fields around a prefix of its
 * messages.
 */
export function covers(state: Buffer, line: Buffer): boolean {
  if (state.equals(line)) return true;
  const [known, given] = [parse(state), parse(line)];
  const messages = messagesIn(given);
  return (
    deepEqual(withoutMessages(known), withoutMessages(given)) &&
    messages.length <= messagesIn(known).length &&
    firstDifference(known, given, messages.length) < 0
  );
}

function withoutMessages(conversation: object): object {
  const { messages: _, conversations: __, ...fields } = conversation as Record<string, unknown>;
  return fields;
}

/**
 * Whether two conversations have equal values, whatever their spacing, escapes and order of keys.
 */
export function sameMeaning(a: Buffer, b: Buffer): boolean {
  if (a.equals(b)) return true;
  try {
    return deepEqual(parse(a), parse(b));
  } catch (error) {
    if (isVarveError(error, 'TOO_LARGE')) return false;
    throw error;
  }
}

function addressed(reference: Reference): AddressedReference {
  const address = reference.digest ?? reference.segments[0]?.address;
  if (address === undefined) throw new VarveError('INTERNAL', 'a reference without content');
  return { code: reference.code, address };
}

/** Whether the two reproduce equal raw bytes. */
function writtenAlike(stored: Skeleton<AddressedReference>, added: Skeleton<Reference>): boolean {
  if (!stored.text.equals(added.text) || stored.references.length !== added.references.length)
    return false;
  return stored.references.every(({ code, address }, index) => {
    const reference = added.references[index] as Reference;
    return addressed(reference).address === address && reference.writtenAlsoBy(code);
  });
}

/** The index of the first of `count` messages that differs, −1 when all are equal. */
function firstDifference(stored: object, added: object, count: number): number {
  const [a, b] = [messagesIn(stored), messagesIn(added)];
  for (let index = 0; index < count; index++) if (!deepEqual(a[index], b[index])) return index;
  return -1;
}

function messagesIn(conversation: object): unknown[] {
  const { messages, conversations } = conversation as {
    messages?: unknown;
    conversations?: unknown;
  };
  return Array.isArray(messages) ? messages : Array.isArray(conversations) ? conversations : [];
}

function deepEqual(a: unknown, b: unknown): boolean {
  try {
    return isDeepStrictEqual(a, b);
  } catch (error) {
    // Nested deeper than the stack allows: only equal bytes count as equal.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

function parse(text: Buffer): object {
  const refuse = (cause: unknown) =>
    new VarveError(
      'TOO_LARGE',
      'the conversation is too long to be compared value by value: use ifExists replace',
      { cause },
    );
  return parseJson(text, refuse) as object;
}

function conflict(id: string | undefined, reason: string): VarveError {
  return new VarveError(
    'CONFLICT',
    `conversation ${JSON.stringify(id)} does not continue what is stored: ${reason}; use ` +
      'ifExists replace to store it anyway',
  );
}
