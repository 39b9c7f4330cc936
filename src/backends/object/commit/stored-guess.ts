import { mapAll } from '../../../core/concurrency.ts';
import type { WriteOutcome } from '../../contract/manifests.ts';
import type { WritePlanner } from './write-planner.ts';

/** Commits of fewer new manifests look at none of them first. */
const FEW = 16;

/** Manifests that are looked at together. */
const WINDOW = 64;

/**
 * Whether most manifests that are put are stored already, as when a file is imported again. To look
 * first costs a GET for each that is new; not to look costs a refused PUT, with its body, for each
 * that is stored. So a commit of many looks at some, and goes on as long as most are stored.
 */
export class StoredGuess {
  /** What the last commit of many found; `undefined` before the first. */
  #mostAreStored: boolean | undefined;

  /**
   * Looks at those manifests that are likely stored.
   *
   * @param planners that guess that theirs is not stored.
   */
  async lookAhead(
    planners: readonly WritePlanner[],
    look: (planner: WritePlanner) => Promise<unknown>,
  ): Promise<void> {
    if (planners.length < FEW || this.#mostAreStored === false) return;
    let size = this.#mostAreStored === undefined ? 1 : WINDOW;
    for (let at = 0; at < planners.length; at += size, size = WINDOW) {
      const window = planners.slice(at, at + size);
      await mapAll(window, look);
      const stored = window.filter(({ attempt }) => attempt.seen.record?.current !== undefined);
      if (stored.length * 2 <= window.length) return;
    }
  }

  /** Learns from how the first write of each ended; `undefined`: it is not known. */
  learn(statuses: readonly (WriteOutcome['status'] | undefined)[]): void {
    if (statuses.length < FEW) return;
    const created = statuses.filter((status) => status === 'created');
    this.#mostAreStored = created.length * 2 < statuses.length;
  }
}
