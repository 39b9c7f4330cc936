import { isDeepStrictEqual } from 'node:util';
import type { Address } from '../address.ts';
import { isVarveError, VarveError } from '../errors.ts';
import type { EntryShape, Skeleton } from './body.ts';
import { type Split, splitAtMessages, splitSkeleton } from './composition.ts';
import type { ConversationRecord } from './record.ts';
import type { Reference } from './reference.ts';

/** Content by address, and how it was written. */
export interface AddressedReference {
  readonly code: number;
  readonly address: Address;
}

/** A conversation that a longer history may continue. */
export interface History {
  /** `undefined` when it has no array of messages. */
  readonly split: Split<AddressedReference> | undefined;
  /** The whole JSON text. */
  readonly text: () => Promise<Buffer>;
}

/** What it takes to get from a history to a record that continues it. */
export type Continuation =
  | { readonly status: 'unchanged' }
  | { readonly status: 'extend'; readonly envelope: EntryShape['envelope']; readonly skeleton: Skeleton<Reference> }
  /** Same messages, but written differently: the record is kept whole. */
  | { readonly status: 'rewrite' };

/** The history that a record is. */
export function historyOf(record: ConversationRecord): History {
  return {
    split: splitAtMessages({ text: record.text, references: record.references.map(addressed) }),
    text: async () => record.line,
  };
}

/**
 * Compares a whole history with what is stored. A history that is stored already, or is a shorter prefix of it, is
 * `unchanged`, whatever its other fields say: so importing a growing log again changes nothing.
 *
 * @throws `CONFLICT` naming the first message that differs.
 */
export async function continuation(stored: History, record: ConversationRecord): Promise<Continuation> {
  const added = splitAtMessages(record);
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
    if (differs >= 0) throw conflict(record.id, `message ${differs} (counted from 0) differs from the stored one`);
    return { status: longer ? 'rewrite' : 'unchanged' };
  }
  if (!longer) return { status: 'unchanged' };
  if (writtenAlike(stored.split.head, added.head) && writtenAlike(stored.split.tail, added.tail)) {
    return { status: 'extend', envelope: undefined, skeleton: extension };
  }
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

/** Whether two conversations mean the same: equal values, whatever the spacing, escapes and order of keys. */
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

/** Whether the raw bytes that the two stand for are equal. */
function writtenAlike(stored: Skeleton<AddressedReference>, added: Skeleton<Reference>): boolean {
  if (!stored.text.equals(added.text) || stored.references.length !== added.references.length) return false;
  return stored.references.every(({ code, address }, index) => {
    const reference = added.references[index] as Reference;
    return addressed(reference).address === address && reference.writtenAlsoBy(code);
  });
}

/** The index of the first of `count` messages that differs, −1 when none does. */
function firstDifference(stored: object, added: object, count: number): number {
  const [a, b] = [messagesIn(stored), messagesIn(added)];
  for (let index = 0; index < count; index++) if (!deepEqual(a[index], b[index])) return index;
  return -1;
}

function messagesIn(conversation: object): unknown[] {
  const { messages, conversations } = conversation as { messages?: unknown; conversations?: unknown };
  return Array.isArray(messages) ? messages : Array.isArray(conversations) ? conversations : [];
}

function deepEqual(a: unknown, b: unknown): boolean {
  try {
    return isDeepStrictEqual(a, b);
  } catch (error) {
    // Nested beyond the stack: then only equal bytes count as equal.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

function parse(text: Buffer): object {
  try {
    return JSON.parse(text.toString('utf8'));
  } catch (error) {
    throw new VarveError(
      'TOO_LARGE',
      'the conversation is too long to be compared value by value: use ifExists replace',
      {
        cause: error,
      },
    );
  }
}

function conflict(id: string | undefined, reason: string): VarveError {
  return new VarveError(
    'CONFLICT',
    `conversation ${JSON.stringify(id)} does not continue what is stored: ${reason}; use ifExists replace to store it anyway`,
  );
}
