import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import type { WriteOutcome } from '../../contract/manifests.ts';
import { type CommitStore, commitGroup } from './commit.ts';
import { CommitGroup, type WaitingCommit } from './commit-group.ts';
import type { LocalWrite } from './local-write.ts';

/** A group takes commits until it has this many writes. */
const GROUP_WRITES = 4096;

/** A delete counts as this many: it may have to read a whole block. */
const DELETE_WEIGHT = 16;

/** The commits that wait, and the loop that commits them, one group after the other. */
export class CommitQueue {
  readonly #store: CommitStore;
  readonly #waiting: WaitingCommit[] = [];
  #draining: Promise<void> | undefined;

  constructor(store: CommitStore) {
    this.#store = store;
  }

  commit(writes: readonly LocalWrite[], signal: AbortSignal | undefined): Promise<WriteOutcome[]> {
    if (writes.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ writes, signal, resolve, reject });
      this.#draining ??= this.#drain();
    });
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    await this.#draining;
  }

  async #drain(): Promise<void> {
    // Commits issued in the same turn of the event loop join the group.
    await nextTurn();
    while (this.#waiting.length > 0) {
      const commits = this.#next();
      if (commits.length > 0) await commitGroup(new CommitGroup(commits), this.#store);
    }
    this.#draining = undefined;
  }

  #next(): WaitingCommit[] {
    const commits: WaitingCommit[] = [];
    for (let writes = 0; writes < GROUP_WRITES; ) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      try {
        throwIfAborted(next.signal);
      } catch (error) {
        next.reject(error);
        continue;
      }
      commits.push(next);
      for (const { operation } of next.writes) writes += operation === 'delete' ? DELETE_WEIGHT : 1;
    }
    return commits;
  }
}
