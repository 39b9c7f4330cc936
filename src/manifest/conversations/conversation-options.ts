import {
  type ListFilter,
  listFilterKinds,
  type Revision,
  revisionKind,
} from '../../backends/contract/manifests.ts';
import type { AbortOptions } from '../../core/abort.ts';
import type { VarveError } from '../../core/errors.ts';
import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';
import type { IfExists } from './conversation-writer.ts';

/** How many conversations are put. */
export interface PutManyOptions extends AbortOptions {
  /**
   * What to do when the id holds another conversation: `error` fails with `ALREADY_EXISTS`; `skip`
   * keeps what is stored; `replace` replaces it; `append` treats the new conversation as the whole
   * history and adds what is new (messages, or other fields around the same messages), failing with
   * `CONFLICT` when the history does not begin with what is stored. Default: `error`. An equal
   * conversation is always `unchanged`.
   */
  readonly ifExists?: IfExists | undefined;
}

export function ifExistsKind(is: OptionKinds) {
  return is.oneOf('error', 'skip', 'replace', 'append');
}

export const PUT_MANY_OPTIONS = declareOptions<PutManyOptions>()({
  defaults: { ifExists: 'error' },
  members: (is: OptionKinds) => ({ ifExists: ifExistsKind(is), signal: is.signal }),
});

/** How a conversation is put. */
export interface PutOptions extends PutManyOptions {
  /** Fails with `CONFLICT` unless this is the stored revision. */
  readonly ifRevision?: Revision | undefined;
  /** The id to store it under. Default: its `id`; without one, an id derived from its content. */
  readonly id?: string | undefined;
}

export const PUT_OPTIONS = declareOptions<PutOptions>()({
  defaults: PUT_MANY_OPTIONS.defaults,
  members: (is: OptionKinds) => ({
    ifExists: ifExistsKind(is),
    ifRevision: revisionKind(is),
    id: is.text,
    signal: is.signal,
  }),
});

/** What putting or appending did. */
export interface PutReceipt {
  readonly id: string;
  readonly status: 'created' | 'replaced' | 'appended' | 'unchanged' | 'skipped';
  /** The revision now stored. */
  readonly revision: Revision;
  /** Segments that were not stored before, and their bytes. */
  readonly newSegments: number;
  readonly newBytes: number;
}

/** Why a conversation of many was not put. */
export interface PutFailure {
  /** `undefined` when the conversation has no valid id. */
  readonly id: string | undefined;
  readonly status: 'failed';
  readonly error: VarveError;
}

/** How messages are appended. */
export interface AppendOptions extends AbortOptions {
  /** Fails with `CONFLICT` unless this is the stored revision. */
  readonly ifRevision?: Revision | undefined;
  /**
   * A key for this append, at most 64 bytes of UTF-8: a second append with the same key does
   * nothing.
   */
  readonly idempotencyKey?: string | undefined;
}

export const APPEND_OPTIONS = declareOptions<AppendOptions>()({
  members: (is: OptionKinds) => ({
    ifRevision: revisionKind(is),
    idempotencyKey: is.text,
    signal: is.signal,
  }),
});

/** How many conversations are deleted. */
export interface DeleteManyOptions extends AbortOptions {
  /**
   * Called for each conversation that could not be deleted. Default: the first such failure is
   * thrown.
   */
  readonly onFailure?: ((id: string, error: VarveError) => void) | undefined;
}

export const DELETE_MANY_OPTIONS = declareOptions<DeleteManyOptions>()({
  members: (is: OptionKinds) => ({
    onFailure: is.callback<NonNullable<DeleteManyOptions['onFailure']>>(),
    signal: is.signal,
  }),
});

/** Which state of a conversation is read. */
export interface ReadOptions extends AbortOptions {
  /** The state after this many writes, 1 to `revisions`. Default: the newest. */
  readonly revision?: number | undefined;
}

export const READ_OPTIONS = declareOptions<ReadOptions>()({
  members: (is: OptionKinds) => ({ revision: is.whole(1), signal: is.signal }),
});

/** Which conversations a list returns, and in which order. */
export interface ConversationListOptions extends ListFilter, AbortOptions {
  /**
   * A glob that the whole id must match: `*` any characters, `?` one, `[a-z]`, `[!a-z]`, `{a,b}`.
   */
  readonly id?: string | undefined;
  /** At most this many. Default: all. */
  readonly limit?: number | undefined;
}

export const CONVERSATION_LIST_OPTIONS = declareOptions<ConversationListOptions>()({
  defaults: { limit: Number.POSITIVE_INFINITY },
  members: (is: OptionKinds) => ({
    ...listFilterKinds(is),
    id: is.text,
    limit: is.limit,
    signal: is.signal,
  }),
});
