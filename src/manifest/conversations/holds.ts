import type { Backend } from '../../backends/contract/backend.ts';
import { ABORT_OPTIONS, type WriteOutcome } from '../../backends/contract/manifests.ts';
import type { AbortOptions } from '../../core/abort.ts';
import { listOf } from '../../core/arguments.ts';
import { isVarveError } from '../../core/errors.ts';
import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';
import { checkId } from '../content/record.ts';
import { conversationKey } from './conversation-reader.ts';
import { type ConversationHead, headOf } from './conversation-stat.ts';

/** How a hold is placed. */
export interface PlaceHoldOptions extends AbortOptions {
  /**
   * Why, shown to whoever the hold stops: at most 1,024 bytes of UTF-8. Default: none, or that of
   * an existing hold.
   */
  readonly reason?: string | undefined;
}

const PLACE_HOLD_OPTIONS = declareOptions<PlaceHoldOptions>()({
  members: (is: OptionKinds) => ({ reason: is.text, signal: is.signal }),
});

/** The result for one conversation. */
export interface HoldReceipt {
  readonly id: string;
  /** `unchanged`: it was in that state already; `absent`: there is no such conversation. */
  readonly status: 'held' | 'released' | 'unchanged' | 'absent';
}

/** A conversation that is held, and since when. */
export type HeldConversation = ConversationHead & Required<Pick<ConversationHead, 'hold'>>;

/**
 * Holds on conversations. A held conversation cannot be deleted, replaced, pruned or expired
 * (`HELD`); it can still be appended to and read. An export does not include holds.
 */
export class Holds {
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /**
   * Holds conversations, in one commit. Returns a receipt for each, in order.
   *
   * ```ts
   * await store.conversations.holds.place('case-17', { reason: 'dispute 12' });
   * ```
   *
   * @throws `INVALID_ARGUMENT` for an invalid id or reason.
   */
  async place(ids: string | readonly string[], options?: PlaceHoldOptions): Promise<HoldReceipt[]> {
    const { reason, ...abort } = PLACE_HOLD_OPTIONS.read('conversations.holds.place', options);
    return this.#set(ids, { held: true, ...(reason !== undefined && { reason }) }, abort);
  }

  /**
   * Releases conversations, in one commit. Returns a receipt for each, in order.
   *
   * ```ts
   * const [receipt] = await store.conversations.holds.release('case-17');
   * console.log(receipt?.status);
   * ```
   */
  async release(ids: string | readonly string[], options?: AbortOptions): Promise<HoldReceipt[]> {
    const abort = ABORT_OPTIONS.read('conversations.holds.release', options);
    return this.#set(ids, { held: false }, abort);
  }

  /**
   * Lists the held conversations, in the order in which they were first stored.
   *
   * ```ts
   * for await (const { id, hold } of store.conversations.holds.list()) {
   *   console.log(id, new Date(hold.since).toISOString(), hold.reason);
   * }
   * ```
   */
  list(options?: AbortOptions): AsyncGenerator<HeldConversation, void, undefined> {
    return this.#list(ABORT_OPTIONS.read('conversations.holds.list', options));
  }

  async *#list(abort: AbortOptions): AsyncGenerator<HeldConversation, void, undefined> {
    for await (const head of this.#backend.list('conversation', { held: true }, abort)) {
      if (head.hold !== undefined) yield { ...headOf(head), hold: head.hold };
    }
  }

  async #set(
    ids: string | readonly string[],
    change: { readonly held: boolean; readonly reason?: string },
    abort: AbortOptions,
  ): Promise<HoldReceipt[]> {
    const all = listOf('ids', typeof ids === 'string' ? [ids] : ids, checkId);
    const writes = all.map((id) => ({
      operation: 'hold' as const,
      key: conversationKey(id),
      ...change,
    }));
    const outcomes = await this.#backend.commit(writes, abort);
    return all.map((id, index) => ({ id, status: statusOf(outcomes[index] as WriteOutcome) }));
  }
}

function statusOf(outcome: WriteOutcome): HoldReceipt['status'] {
  if (outcome.status !== 'failed') return outcome.status as HoldReceipt['status'];
  if (isVarveError(outcome.error, 'NOT_FOUND')) return 'absent';
  throw outcome.error;
}
