import { hash } from 'node:crypto';
import { isVarveError } from '../../../core/errors.ts';
import { MANIFEST_KINDS, type ManifestKind } from '../../contract/manifests.ts';
import type { JournalEntry } from '../format/head-journal.ts';
import { PAGE_ROWS } from '../format/head-page.ts';
import type { HeadVersion } from '../format/head-version.ts';
import type { Protocol } from '../tables/protocol.ts';
import { type CompactionOptions, compact, type HeadTables } from './compaction.ts';
import { HeadCatalogs } from './head-catalogs.ts';
import { HeadJournals } from './head-journals.ts';
import { type HeadListOptions, listHeads, type PlacedHead } from './head-list.ts';
import { HeadPages } from './head-pages.ts';
import type { HeadsMemory, HeadsState } from './heads-memory.ts';

/** A process brings its journals to pages when it has this many. */
const OWN_JOURNALS = 16;

/** The same for a process that ends. */
const LAST_JOURNALS = 4;

/** Or when its journals name this many manifests, which lists would read. */
const LAST_ROWS = 16;

/** With this many journals in the bucket, whoever compacts takes those of others, too. */
const CROWDED_JOURNALS = 64;

/** Journals that are this old, in ms, are seldom of changes under way. */
const QUIET_MS = 60 * 1000;

/** A journal with fewer bytes names few manifests, which are soon read. */
const SMALL_JOURNAL_BYTES = 4096;

/** Journals that are this old, in ms, are those of processes that have ended. */
const LEFT_MS = 15 * 60 * 1000;

/**
 * The heads of manifests as lists read them. Its words:
 *
 * - A *journal* names coming changes of manifests, and is stored before they are made. So pages and
 *   journals together name everything that is committed.
 * - A *page* has versions of heads in the order of archiving, a *run* is pages that do not overlap,
 *   and the *catalog* names the runs.
 * - A *compaction* brings what became of journaled changes to pages, and merges runs.
 */
export class HeadIndex {
  readonly #tables: HeadTables;
  readonly #isWritable: boolean;

  constructor(protocol: Protocol, isWritable: boolean, memory: HeadsMemory) {
    this.#isWritable = isWritable;
    this.#tables = {
      protocol,
      memory,
      journals: new HeadJournals(protocol),
      pages: new HeadPages(protocol, memory),
      catalogs: new HeadCatalogs(protocol),
    };
  }

  get tables(): HeadTables {
    return this.#tables;
  }

  get state(): HeadsState {
    return this.#tables.memory.state;
  }

  /** From now on this process keeps journals, and reads lists, as the descriptor says. */
  enter(state: HeadsState): void {
    this.#tables.memory.state = state;
  }

  /** Before the changes are made (rule `journal-before-change`). Returns the journal's key. */
  announce(kind: ManifestKind, entries: readonly JournalEntry[]): Promise<string> {
    return this.#tables.journals.write(kind, entries);
  }

  /** Remembers what came of everything that a journal of this process announces. */
  settle(kind: ManifestKind, journal: string, versions: readonly HeadVersion[]): void {
    this.#tables.memory.settledOf(kind).set(journal, versions);
  }

  /** Brings the journals of this process to pages once that pays; with `isLast`, earlier. */
  async flush(isLast = false): Promise<void> {
    if (!this.#isWritable || this.state !== 'ready') return;
    for (const kind of MANIFEST_KINDS) {
      const settled = [...this.#tables.memory.settledOf(kind).values()];
      const rows = settled.reduce((sum, versions) => sum + versions.length, 0);
      const isDue =
        settled.length >= (isLast ? LAST_JOURNALS : OWN_JOURNALS) ||
        rows >= (isLast ? LAST_ROWS : PAGE_ROWS);
      if (this.#tables.memory.compacting.has(kind)) continue;
      if (isDue || (isLast && (await this.#isCrowded(kind, settled)))) await this.compact(kind);
    }
  }

  /** As `compact`; by default it also takes journals of others when there are many. */
  async compact(kind: ManifestKind, options: CompactionOptions = {}): Promise<number | undefined> {
    const { memory } = this.#tables;
    // Two of one process would only make each other begin again.
    const isAlone = !memory.compacting.has(kind);
    memory.compacting.add(kind);
    const takes = (ageMs: number, bytes: number, stored: number) =>
      ageMs > LEFT_MS ||
      (stored > CROWDED_JOURNALS && (ageMs > QUIET_MS || bytes < SMALL_JOURNAL_BYTES));
    try {
      return await compact(this.#tables, kind, { takes, ...options });
    } finally {
      if (isAlone) memory.compacting.delete(kind);
    }
  }

  /** Lists from pages and journals, once they are complete. */
  list(kind: ManifestKind, options: HeadListOptions): AsyncGenerator<PlacedHead, void, undefined> {
    return listHeads(this.#tables, kind, options);
  }

  /**
   * Whether a process that leaves a few journals finds very many. One in sixteen looks: what it has
   * written decides, so that the requests of a process do not depend on chance.
   */
  async #isCrowded(
    kind: ManifestKind,
    settled: readonly (readonly HeadVersion[])[],
  ): Promise<boolean> {
    const last = settled.at(-1)?.at(-1);
    if (last === undefined || !isDrawn(last)) return false;
    try {
      return (await this.#tables.journals.list(kind)).length > CROWDED_JOURNALS;
    } catch (error) {
      if (!isVarveError(error)) throw error;
      return false;
    }
  }
}

function isDrawn({ id, seq }: HeadVersion): boolean {
  return (
    (hash('sha256', `${seq} ${id}`, 'buffer') as Buffer).readUInt32BE() % OWN_JOURNALS ===
    OWN_JOURNALS - 1
  );
}
