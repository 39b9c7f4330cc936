import { inTurns } from '../../../core/steps.ts';
import { toVarveError } from '../../../core/system/system-error.ts';
import type { PackOwner } from '../packs/pack-owner.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import { applyWrite } from './apply-write.ts';
import type { CommitGroup } from './commit-group.ts';
import { CommitLog } from './commit-log.ts';
import { type CommitTuning, EntryWriter } from './entry-writer.ts';
import { ManifestWriter } from './manifest-writer.ts';
import { preparing } from './prepared-blocks.ts';

/**
 * How writes get into the store. The words of this folder:
 *
 * - A **commit** is a call that hands in writes. Commits that arrive together are a **group**: they
 *   share one transaction, each with outcomes of its own.
 * - A write is **planned** (decided by the contract, its segments found or read, which may fail and
 *   changes nothing), then **carried out** on the index and in blocks.
 * - The **log** is what a transaction does to manifests, as records in the pack: the second copy of
 *   what the index says.
 */

/** What commits write to. */
export interface CommitStore {
  readonly index: LocalIndex;
  readonly owner: PackOwner;
  readonly tuning: CommitTuning;
  readonly clock: () => number;
}

/** The order of a commit, from the group that waits to the outcomes that it returns. */
export async function commitGroup(
  group: CommitGroup,
  { index, owner, tuning, clock }: CommitStore,
): Promise<void> {
  try {
    // Check and compress what can be foreseen, in turns with other work.
    const prepared = await inTurns(preparing(group.writes, index, tuning.segments));
    // Wait for this process's turn and a pack of its own, then for the write lock of the index.
    const outcomes = await owner.append((appender) => {
      // Synchronous from here on: nobody else writes, and no transaction is open across an await.
      index.refresh();
      const now = clock();
      const log = new CommitLog(index, appender, tuning.bodies.level);
      const entries = new EntryWriter(index, appender, tuning, now, prepared);
      const manifests = new ManifestWriter(index, log, now);

      // Plan and carry out each write. Rows change, and full blocks go to the pack on the way.
      const changes = { index, entries, manifests, now };
      const applied = group.apply((write) => applyWrite(write, changes));

      // Append the last blocks, and behind them what the log says of all this.
      entries.finishBlocks();
      log.finish();
      if (!entries.isChanged && !appender.hasAppended) return applied;

      // Enter into the index what is known only now: counts, fingerprints, the next ids.
      const isAdded = [entries.enter(), manifests.enter()].includes(true);
      if (isAdded) index.bumpRuns();
      return applied;
      // `append` flushes the pack, then commits the index, which flushes that; on an error it takes
      // back what either got.
    }, group.deserted);

    // Acknowledge.
    for (const [{ resolve }, ofCommit] of outcomes) resolve(ofCommit);
  } catch (cause) {
    group.reject(toVarveError(cause, 'committing to the store'));
  } finally {
    group.close();
  }
}
