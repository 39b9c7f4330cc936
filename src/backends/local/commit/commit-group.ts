import { throwIfAborted } from '../../../core/abort.ts';
import type { WriteOutcome } from '../../contract/manifests.ts';
import type { LocalWrite } from './local-write.ts';

/** A call of `commit` that waits for its outcomes. */
export interface WaitingCommit {
  readonly writes: readonly LocalWrite[];
  readonly signal: AbortSignal | undefined;
  readonly resolve: (outcomes: WriteOutcome[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Commits that share one transaction: one flush of the pack and one of the index. */
export class CommitGroup {
  readonly #commits: readonly WaitingCommit[];
  /** Rejected, because their signal fired before they were applied. */
  readonly #left = new Set<WaitingCommit>();
  readonly #applied = new Set<WaitingCommit>();
  readonly #deserted = new AbortController();
  readonly #stops: (() => void)[];

  constructor(commits: readonly WaitingCommit[]) {
    this.#commits = commits;
    this.#stops = commits.map((commit) => {
      const leave = () => this.#leave(commit);
      commit.signal?.addEventListener('abort', leave, { once: true });
      return () => commit.signal?.removeEventListener('abort', leave);
    });
  }

  /** Fires when all have left: then nobody waits for the lock any more. */
  get deserted(): AbortSignal {
    return this.#deserted.signal;
  }

  /** The writes of those that have not left. */
  get writes(): LocalWrite[] {
    return this.#commits.flatMap((commit) => (this.#left.has(commit) ? [] : commit.writes));
  }

  /**
   * Applies the writes of those that have not left. From now on they may be in the store, so they
   * cannot leave: only the transaction says what became of them.
   */
  apply(applyWrite: (write: LocalWrite) => WriteOutcome): Map<WaitingCommit, WriteOutcome[]> {
    const outcomes = new Map<WaitingCommit, WriteOutcome[]>();
    for (const commit of this.#commits) {
      if (this.#left.has(commit)) continue;
      this.#applied.add(commit);
      outcomes.set(commit, commit.writes.map(applyWrite));
    }
    return outcomes;
  }

  /** Rejects all that wait. */
  reject(error: unknown): void {
    for (const { reject } of this.#commits) reject(error);
  }

  /** Stops listening to signals. */
  close(): void {
    for (const stop of this.#stops) stop();
  }

  #leave(commit: WaitingCommit): void {
    if (this.#applied.has(commit)) return;
    this.#left.add(commit);
    try {
      throwIfAborted(commit.signal);
    } catch (error) {
      commit.reject(error);
    }
    if (this.#left.size === this.#commits.length) this.#deserted.abort();
  }
}
