import type { AbortOptions, ListFilter, Revision } from '../backends/manifests.ts';
import type { VarveError } from '../errors.ts';
import type { IfExists } from './conversation-writer.ts';

export interface PutOptions extends AbortOptions {
  /**
   * What to do when the id holds another conversation: `error` fails with `ALREADY_EXISTS`, `skip` keeps what is
   * stored, `replace` replaces it, `append` takes what is put as the whole history and adds what is new (messages, or
   * other fields around the same messages), failing with `CONFLICT` where it does not begin with what is stored. Default: `error`. An equal conversation is always
   * `unchanged`.
   */
  readonly ifExists?: IfExists;
  /** Fails with `CONFLICT` unless this is the stored revision. */
  readonly ifRevision?: Revision;
  /** The id to store it under. Default: its `id`; without one, an id derived from its content. */
  readonly id?: string;
}

export interface PutReceipt {
  readonly id: string;
  readonly status: 'created' | 'replaced' | 'appended' | 'unchanged' | 'skipped';
  /** The revision now stored. */
  readonly revision: Revision;
  /** Segments that were not stored before, and their bytes. */
  readonly newSegments: number;
  readonly newBytes: number;
}

export interface PutFailure {
  /** `undefined` when the conversation has no valid one. */
  readonly id: string | undefined;
  readonly status: 'failed';
  readonly error: VarveError;
}

export interface AppendOptions extends AbortOptions {
  readonly ifRevision?: Revision;
  /** A name for this append, at most 64 bytes of UTF-8: a second append of the same name does nothing. */
  readonly idempotencyKey?: string;
}

export interface DeleteManyOptions extends AbortOptions {
  /** Told of each conversation that could not be deleted. */
  readonly onFailure?: (id: string, error: VarveError) => void;
}

export interface ReadOptions extends AbortOptions {
  /** The state after the first so many writes, 1 to `revisions`. Default: the newest. */
  readonly revision?: number;
}

export interface ConversationListOptions extends ListFilter, AbortOptions {
  /** A glob that the whole id must match: `*` any characters, `?` one, `[a-z]`, `[!a-z]`, `{a,b}`. */
  readonly id?: string;
  /** At most so many. Default: all. */
  readonly limit?: number;
}
