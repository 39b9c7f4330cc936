import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import { toVarveError } from '../../../core/system/system-error.ts';
import type { WriteOutcome } from '../../contract/manifests.ts';
import type { PackOwner } from '../packs/pack-owner.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import { CommitTransaction, type CommitTuning, type LocalWrite } from './commit-transaction.ts';

interface Pending {
  readonly writes: readonly LocalWrite[];
  readonly signal: AbortSignal | undefined;
  readonly resolve: (outcomes: WriteOutcome[]) => void;
  readonly reject: (error: unknown) => void;
  /**
   * `applied`: it may be in the store by now, so only the transaction says what became of it.
   * `left`: it is rejected.
   */
  state: 'waiting' | 'applied' | 'left';
}

/** A group takes commits until it has this many writes. */
const GROUP_WRITES = 4096;

/**
 * Runs commits one group at a time: those that arrive together share one flush of the pack and one
 * of the index.
 */
export class CommitQueue {
  readonly #index: LocalIndex;
  readonly #owner: PackOwner;
  readonly #tuning: CommitTuning;
  readonly #clock: () => number;
  readonly #pending: Pending[] = [];
  #draining: Promise<void> | undefined;

  constructor(index: LocalIndex, owner: PackOwner, tuning: CommitTuning, clock: () => number) {
    this.#index = index;
    this.#owner = owner;
    this.#tuning = tuning;
    this.#clock = clock;
  }

  commit(writes: readonly LocalWrite[], signal: AbortSignal | undefined): Promise<WriteOutcome[]> {
    if (writes.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      this.#pending.push({ writes, signal, resolve, reject, state: 'waiting' });
      this.#draining ??= this.#drain();
    });
  }

  /** Resolves when nothing is pending. */
  async idle(): Promise<void> {
    await this.#draining;
  }

  async #drain(): Promise<void> {
    // Commits issued in the same turn of the event loop join the group.
    await nextTurn();
    while (this.#pending.length > 0) {
      const group = this.#nextGroup();
      if (group.length > 0) await this.#run(group);
    }
    this.#draining = undefined;
  }

  #nextGroup(): Pending[] {
    const group: Pending[] = [];
    for (let writes = 0; writes < GROUP_WRITES; ) {
      const next = this.#pending.shift();
      if (next === undefined) break;
      try {
        throwIfAborted(next.signal);
      } catch (error) {
        next.reject(error);
        continue;
      }
      group.push(next);
      writes += next.writes.length;
    }
    return group;
  }

  async #run(group: readonly Pending[]): Promise<void> {
    // The lock may be long in coming: whoever's signal fires by then leaves the group, and when all
    // have, nobody waits.
    const deserted = new AbortController();
    const listeners = group.map((pending) => {
      const leave = () => {
        if (pending.state === 'applied') return;
        pending.state = 'left';
        pending.reject(abortedBy(pending.signal));
        if (group.every(({ state }) => state === 'left')) deserted.abort();
      };
      pending.signal?.addEventListener('abort', leave, { once: true });
      return () => pending.signal?.removeEventListener('abort', leave);
    });
    try {
      const outcomes = await this.#transact(group, deserted.signal);
      for (const [{ resolve }, ofPending] of outcomes) resolve(ofPending);
    } catch (cause) {
      const error = toVarveError(cause, 'committing to the store');
      for (const { reject } of group) reject(error);
    } finally {
      for (const stop of listeners) stop();
    }
  }

  #transact(
    group: readonly Pending[],
    deserted: AbortSignal,
  ): Promise<[Pending, WriteOutcome[]][]> {
    return this.#owner.append((appender) => {
      this.#index.refresh();
      const transaction = new CommitTransaction(this.#index, appender, this.#tuning, this.#clock());
      const outcomes: [Pending, WriteOutcome[]][] = [];
      for (const pending of group) {
        if (pending.state === 'left') continue;
        pending.state = 'applied';
        outcomes.push([pending, pending.writes.map((write) => transaction.apply(write))]);
      }
      transaction.finish();
      return outcomes;
    }, deserted);
  }
}

function abortedBy(signal: AbortSignal | undefined): unknown {
  try {
    throwIfAborted(signal);
  } catch (error) {
    return error;
  }
  return undefined;
}
