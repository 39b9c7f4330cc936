import type { Backend } from '../../backends/contract/backend.ts';
import {
  ABORT_OPTIONS,
  DELETE_OPTIONS,
  type DeleteOptions,
  type ListFilter,
  type WriteOutcome,
  type WriteSuccess,
} from '../../backends/contract/manifests.ts';
import { checkNonce } from '../../backends/contract/write-validation.ts';
import type { AbortOptions } from '../../core/abort.ts';
import { isBytes, itemsOf, listOf } from '../../core/arguments.ts';
import { batchesOf } from '../../core/batches.ts';
import { VarveError } from '../../core/errors.ts';
import { globMatcher } from '../../core/glob.ts';
import { addressing, inTurns, joining, STEP_BYTES, type Steps } from '../../core/steps.ts';
import { LINE_FEED, NOTHING, type StoredReference } from '../content/body.ts';
import { type Composition, joinSkeletons, splitting } from '../content/composition.ts';
import { writingJson } from '../content/json-writer.ts';
import { checkId, RecordEncoder } from '../content/record.ts';
import { appendMessages, type Extension } from './append-messages.ts';
import type { Conversation } from './conversation.ts';
import { encodingMessages, lineOfText, messagesText } from './conversation-json.ts';
import {
  APPEND_OPTIONS,
  type AppendOptions,
  CONVERSATION_LIST_OPTIONS,
  type ConversationListOptions,
  DELETE_MANY_OPTIONS,
  type DeleteManyOptions,
  PUT_MANY_OPTIONS,
  PUT_OPTIONS,
  type PutFailure,
  type PutManyOptions,
  type PutOptions,
  type PutReceipt,
  READ_OPTIONS,
  type ReadOptions,
} from './conversation-options.ts';
import { ConversationReader, conversationKey } from './conversation-reader.ts';
import {
  type ConversationHead,
  type ConversationStat,
  headOf,
  sizesOf,
} from './conversation-stat.ts';
import {
  ConversationWriter,
  type RecordToWrite,
  type WriteOptions,
} from './conversation-writer.ts';
import { derivedId } from './derived-id.ts';
import { Holds } from './holds.ts';

export type {
  AppendOptions,
  ConversationListOptions,
  DeleteManyOptions,
  PutFailure,
  PutManyOptions,
  PutOptions,
  PutReceipt,
  ReadOptions,
} from './conversation-options.ts';
export type { ConversationHead, ConversationStat } from './conversation-stat.ts';

/** Records per commit of `putMany`. */
const BATCH_COUNT = 512;
const BATCH_BYTES = 16 * 1024 * 1024;

/** The conversations of a store. */
export class Conversations {
  /** Holds keep conversations from being deleted or replaced. */
  readonly holds: Holds;
  readonly #backend: Backend;
  readonly #encoder: RecordEncoder;
  readonly #reader: ConversationReader;
  readonly #writer: ConversationWriter;

  constructor(backend: Backend) {
    this.#backend = backend;
    this.holds = new Holds(backend);
    this.#encoder = new RecordEncoder(backend.capabilities.inlineBelow);
    this.#reader = new ConversationReader(backend);
    this.#writer = new ConversationWriter(backend, this.#reader);
  }

  /**
   * Stores a conversation: any object that JSON can write, with `Uint32Array`s of token ids in it;
   * or a JSON text in UTF-8, stored as written except that line breaks between its values become
   * spaces. Durable when the promise resolves.
   *
   * ```ts
   * const messages = [{ role: 'user', content: 'Hello' }];
   * const { status } = await store.conversations.put(
   *   { id: 'c1', model: 'm-1', application: 'support', messages },
   *   { ifExists: 'append' },
   * );
   * ```
   *
   * @throws `ALREADY_EXISTS`, `CONFLICT` (see {@link PutOptions}); `MALFORMED_INPUT` for a text
   *   that is not a JSON object; `INVALID_ARGUMENT` for what JSON cannot write and for ids that are
   *   empty, not well-formed or longer than 512 bytes of UTF-8.
   */
  async put(conversation: object | Uint8Array, options?: PutOptions): Promise<PutReceipt> {
    const { id, ...how } = PUT_OPTIONS.read('conversations.put', options);
    this.#encoder.content.beginBatch();
    const taken = inTurns(this.#taking(conversation, id), how.signal);
    const record = taken instanceof Promise ? await taken : taken;
    const [outcome] = await this.#writer.write([record], how);
    return receipt(record.id, outcome as WriteOutcome);
  }

  /**
   * Stores many conversations as {@link put} does, hundreds per commit. Yields a receipt or failure
   * for each, in order.
   *
   * ```ts
   * const calls = [{ id: 'c1', messages: [] }, { id: 'c2', messages: [] }];
   * for await (const receipt of store.conversations.putMany(calls, { ifExists: 'skip' })) {
   *   if (receipt.status === 'failed') console.warn(receipt.id, receipt.error.message);
   * }
   * ```
   *
   * @throws `INVALID_ARGUMENT` at the call.
   */
  putMany(
    conversations: Iterable<object> | AsyncIterable<object>,
    options?: PutManyOptions,
  ): AsyncGenerator<PutReceipt | PutFailure, void, undefined> {
    return this.#putMany(conversations, PUT_MANY_OPTIONS.read('conversations.putMany', options));
  }

  async *#putMany(
    conversations: Iterable<object> | AsyncIterable<object>,
    options: WriteOptions,
  ): AsyncGenerator<PutReceipt | PutFailure, void, undefined> {
    const bounds = {
      count: BATCH_COUNT,
      bytes: BATCH_BYTES,
      bytesOf: (taken: RecordToWrite | PutFailure) =>
        'record' in taken ? taken.record.line.length : 0,
    };
    this.#encoder.content.beginBatch();
    const taken = this.#takeAll(conversations, options.signal);
    for await (const batch of batchesOf(taken, bounds)) {
      yield* this.#putBatch(batch, options);
      this.#encoder.content.beginBatch();
    }
  }

  async *#takeAll(
    conversations: Iterable<object> | AsyncIterable<object>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<RecordToWrite | PutFailure, void, undefined> {
    for await (const conversation of itemsOf('conversations are', conversations)) {
      let taken: RecordToWrite | PutFailure;
      try {
        taken = await inTurns(this.#taking(conversation, undefined), signal);
      } catch (error) {
        taken = { id: undefined, status: 'failed', error: asVarveError(error) };
      }
      yield taken;
    }
  }

  /**
   * Returns the conversation as an object, deep-equal to what was put, keys in their order;
   * `undefined` when there is none.
   *
   * ```ts
   * const conversation = await store.conversations.get('c1');
   * console.log(conversation?.messages?.length);
   * ```
   *
   * @typeParam Shape - the type of what was put, which is not checked
   * @throws `TOO_LARGE` beyond the length of a JavaScript string (about 512 MB): use {@link
   *   getBytes}; `NOT_FOUND` for a revision that does not exist; `CORRUPT`; `UNSUPPORTED_FORMAT`.
   */
  async get<Shape extends object = Conversation>(
    id: string,
    options?: ReadOptions,
  ): Promise<Shape | undefined> {
    checkId(id);
    const { revision, ...abort } = READ_OPTIONS.read('conversations.get', options);
    return this.#reader.read(
      id,
      revision,
      (manifest, composition) => this.#reader.value(manifest, composition, abort) as Promise<Shape>,
      abort,
    );
  }

  /**
   * The line as it was imported, byte for byte, with its line terminator; `undefined` when there is
   * none.
   *
   * ```ts
   * const line = await store.conversations.getBytes('c1');
   * if (line !== undefined) process.stdout.write(line);
   * ```
   */
  async getBytes(id: string, options?: ReadOptions): Promise<Buffer | undefined> {
    checkId(id);
    const { revision, ...abort } = READ_OPTIONS.read('conversations.getBytes', options);
    return this.#reader.read(
      id,
      revision,
      async (manifest, composition) => {
        const pieces = await this.#reader.text(manifest, composition, abort);
        return inTurns(joining([...pieces, composition.terminator]), abort.signal);
      },
      abort,
    );
  }

  /**
   * Adds messages to the end of a conversation, given as values or as the text of a JSON array in
   * UTF-8; reads and stores only what is new. Without `ifRevision` and `idempotencyKey`, a retry
   * after an unknown outcome may add them twice.
   *
   * ```ts
   * const answer = [{ role: 'assistant', content: 'Hi!' }];
   * await store.conversations.append('c1', answer, { idempotencyKey: 'turn-2' });
   * ```
   *
   * @throws `NOT_FOUND` when there is no such conversation, `CONFLICT` unless `ifRevision` is
   *   stored, `INVALID_ARGUMENT` when it has no array of messages or the messages cannot be written
   *   as JSON, `MALFORMED_INPUT` when a text is not a JSON array.
   */
  async append(
    id: string,
    messages: readonly unknown[] | Uint8Array,
    options?: AppendOptions,
  ): Promise<PutReceipt> {
    checkId(id);
    const { ifRevision, idempotencyKey, ...abort } = APPEND_OPTIONS.read(
      'conversations.append',
      options,
    );
    if (idempotencyKey !== undefined) checkNonce(idempotencyKey);
    this.#encoder.content.beginBatch();
    const taken = inTurns(this.#takingMessages(messages), abort.signal);
    const extension = taken instanceof Promise ? await taken : taken;
    const condition = { ifRevision, idempotencyKey };
    return receipt(id, await appendMessages(this.#backend, id, extension, condition, abort));
  }

  *#takingMessages(messages: readonly unknown[] | Uint8Array): Steps<Extension> {
    const text = yield* messagesText(messages);
    const added = yield* encodingMessages(messages, text, this.#encoder);
    return { added, bytes: text.line.length - '{"messages":[]}'.length };
  }

  /**
   * Deletes a conversation. Returns whether there was one.
   *
   * ```ts
   * const wasThere = await store.conversations.delete('c1');
   * ```
   *
   * @throws `CONFLICT` unless `ifRevision` is stored; `HELD`.
   */
  async delete(id: string, options?: DeleteOptions): Promise<boolean> {
    checkId(id);
    const { ifRevision, ...abort } = DELETE_OPTIONS.read('conversations.delete', options);
    const [outcome] = await this.#backend.commit(
      [
        {
          operation: 'delete',
          key: conversationKey(id),
          ...(ifRevision !== undefined && { ifRevision }),
        },
      ],
      abort,
    );
    return wasDeleted(outcome as WriteOutcome);
  }

  /**
   * Deletes many conversations, in a local store some hundreds in a commit. Returns the ids that
   * were deleted, in order; the others did not exist, or `onFailure` received the reason why they
   * stay. When it is aborted or fails, some may be deleted: calling it again goes on.
   *
   * ```ts
   * const onFailure = (id: string, error: Error) => console.warn(id, error.message);
   * const deleted = await store.conversations.deleteMany(['c1', 'c2'], { onFailure });
   * ```
   *
   * @throws without `onFailure` the first such failure (`HELD`), when the others have been deleted.
   */
  async deleteMany(ids: readonly string[], options?: DeleteManyOptions): Promise<string[]> {
    const { onFailure, ...abort } = DELETE_MANY_OPTIONS.read('conversations.deleteMany', options);
    const all = listOf('ids to delete', ids, checkId);
    const outcomes = await this.#backend.commit(
      all.map((id) => ({ operation: 'delete', key: conversationKey(id) })),
      abort,
    );
    return all.filter((id, index) => {
      const outcome = outcomes[index] as WriteOutcome;
      if (outcome.status === 'failed' && onFailure !== undefined) onFailure(id, outcome.error);
      else return wasDeleted(outcome);
      return false;
    });
  }

  /**
   * Describes a conversation without reading its content; `undefined` when there is none.
   *
   * ```ts
   * const { messages, sharedBytes } = (await store.conversations.stat('c1')) ?? {};
   * ```
   */
  async stat(id: string, options?: AbortOptions): Promise<ConversationStat | undefined> {
    checkId(id);
    const abort = ABORT_OPTIONS.read('conversations.stat', options);
    return this.#reader.read(
      id,
      undefined,
      async (manifest, composition) => ({
        ...headOf(manifest),
        messages: await messagesIn(composition, abort),
        ...(await sizesOf(manifest, this.#backend, abort)),
        inlineBytes: manifest.entries.reduce((sum, { body }) => sum + body.length, 0),
      }),
      abort,
    );
  }

  /**
   * Lists the conversations that pass the filter, in the requested order.
   *
   * ```ts
   * const newest = { application: 'support', order: 'newest', limit: 10 } as const;
   * for await (const { id, createdAt } of store.conversations.list(newest)) {
   *   console.log(id, new Date(createdAt).toISOString());
   * }
   * ```
   *
   * @throws `INVALID_ARGUMENT` at the call.
   */
  list(options?: ConversationListOptions): AsyncGenerator<ConversationHead, void, undefined> {
    const { id, limit, signal, ...filter } = CONVERSATION_LIST_OPTIONS.read(
      'conversations.list',
      options,
    );
    const matches = id === undefined ? undefined : globMatcher(id);
    return this.#list(filter, matches, limit, { signal });
  }

  async *#list(
    filter: ListFilter,
    matches: ((id: string) => boolean) | undefined,
    limit: number,
    abort: AbortOptions,
  ): AsyncGenerator<ConversationHead, void, undefined> {
    if (limit === 0) return;
    let count = 0;
    for await (const head of this.#backend.list('conversation', filter, abort)) {
      if (matches !== undefined && !matches(head.key.id)) continue;
      yield headOf(head);
      if (++count >= limit) return;
    }
  }

  /** Reads the conversation in the first step. */
  *#taking(conversation: object | Uint8Array, id: string | undefined): Steps<RecordToWrite> {
    if (id !== undefined) checkId(id);
    const { line, typedAt } = isBytes(conversation)
      ? { line: yield* lineOfText(conversation), typedAt: [] }
      : yield* writingJson(conversation);
    if (line.length > STEP_BYTES) yield;
    const record = yield* this.#encoder.encoding(line, {
      typedAt,
      ...(id !== undefined && { id }),
    });
    return {
      id: record.id ?? derivedId(yield* addressing(line), 1),
      record,
      terminator: LINE_FEED,
      lead: NOTHING,
    };
  }

  async *#putBatch(
    batch: readonly (RecordToWrite | PutFailure)[],
    options: WriteOptions,
  ): AsyncGenerator<PutReceipt | PutFailure, void, undefined> {
    const records = batch.filter((item): item is RecordToWrite => 'record' in item);
    const outcomes = await this.#writer.write(records, options);
    let next = 0;
    for (const item of batch) {
      if (!('record' in item)) {
        yield item;
        continue;
      }
      const outcome = outcomes[next++] as WriteOutcome;
      yield outcome.status === 'failed' ? { id: item.id, ...outcome } : receipt(item.id, outcome);
    }
  }
}

function receipt(id: string, outcome: WriteOutcome): PutReceipt {
  if (outcome.status === 'failed') throw outcome.error;
  const { status, revision, newSegments, newBytes } = outcome as WriteSuccess;
  return { id, status, revision, newSegments, newBytes } as PutReceipt;
}

async function messagesIn(
  { pieces }: Composition<StoredReference>,
  { signal }: AbortOptions,
): Promise<number> {
  const split = await inTurns(splitting(joinSkeletons(pieces)), signal);
  return split?.ends.length ?? 0;
}

function wasDeleted(outcome: WriteOutcome): boolean {
  if (outcome.status === 'failed') throw outcome.error;
  return outcome.status === 'deleted';
}

function asVarveError(error: unknown): VarveError {
  if (error instanceof VarveError) return error;
  throw error;
}
