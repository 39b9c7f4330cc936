import { MANIFEST_KINDS, type ManifestKind } from '../../contract/manifests.ts';
import { isSettled, type JournalEntry } from '../format/head-journal.ts';
import { compareArchived, storedHead } from '../format/head-version.ts';
import { versionsOfEntry } from '../heads/compaction.ts';
import type { HeadIndex } from '../heads/head-index.ts';
import type { Attempt, Needs, Planned } from './attempt.ts';
import type { WritePlan } from './write-planner.ts';

interface Announced {
  readonly attempt: Attempt;
  readonly entry: JournalEntry;
}

/**
 * The journals of one call. Each is stored before any of the changes that it names is made, and
 * again when a change has to be planned again. Until a compaction takes it, it is also the mark of
 * its writer: it names the manifests that may have an attempt under way.
 */
export class CommitJournal {
  readonly #heads: HeadIndex | undefined;
  readonly #journals: {
    readonly kind: ManifestKind;
    readonly key: string;
    readonly entries: readonly Announced[];
  }[] = [];

  /** @param heads default: none, for changes that lists do not show. */
  constructor(heads?: HeadIndex) {
    this.#heads = heads;
  }

  /** Whether this store keeps journals. */
  get isKept(): boolean {
    return this.#heads !== undefined && this.#heads.state !== 'none';
  }

  /** Before plans are announced or committed (rule `journal-before-change`). */
  async writePlans(planned: readonly Planned<WritePlan>[]): Promise<void> {
    await this.#write(
      planned.map(({ attempt, plan }) => ({ attempt, entry: entryOf(attempt, placesOf(plan)) })),
    );
  }

  /** Before segments of a stream are announced: its plan comes when it has ended. */
  async writeMark({ attempt }: Planned<Needs>): Promise<void> {
    await this.#write([{ attempt, entry: entryOf(attempt, []) }]);
  }

  /** Lets a compaction of this process take the journals of which everything is settled. */
  settle(): void {
    for (const { kind, key, entries } of this.#journals) {
      if (!entries.every(({ attempt, entry }) => isSettled(entry, attempt.seen.record))) continue;
      const versions = entries.flatMap(({ attempt, entry }) =>
        versionsOfEntry(entry, attempt.seen),
      );
      this.#heads?.settle(kind, key, versions);
    }
  }

  async #write(changes: readonly Announced[]): Promise<void> {
    if (this.#heads === undefined || !this.isKept) return;
    for (const kind of MANIFEST_KINDS) {
      const entries = changes.filter(({ attempt }) => attempt.key.kind === kind);
      if (entries.length === 0) continue;
      const key = await this.#heads.announce(
        kind,
        entries.map(({ entry }) => entry),
      );
      this.#journals.push({ kind, key, entries });
    }
  }
}

function entryOf({ id, key, seen }: Attempt, places: JournalEntry['places']): JournalEntry {
  return { id: key.id, base: seen.record?.seq ?? 0, attempt: id, places };
}

/** The places that a plan changes: content that is put again after it was deleted has another. */
function placesOf({ planner, base, content }: WritePlan): JournalEntry['places'] {
  const { key } = planner.attempt;
  const after =
    content === undefined ? [] : [{ archived: content.archived, head: storedHead(key, content) }];
  const isMoved =
    base !== undefined &&
    (content === undefined || compareArchived(base.archived, content.archived) !== 0);
  return isMoved ? [{ archived: base.archived, head: undefined }, ...after] : after;
}
