import { mapAll } from '../../../core/concurrency.ts';
import { isUnreadable, type VarveError } from '../../../core/errors.ts';
import type { ManifestKind } from '../../contract/manifests.ts';
import { comparePlaces, type Place, type StoredHead, versionAt } from '../format/head-version.ts';
import type { HeadTables } from './compaction.ts';
import { type Candidate, candidates } from './head-view.ts';
import { IndexMoved } from './index-moved.ts';

/** A head and its place. */
export interface PlacedHead extends Place {
  readonly head: StoredHead;
}

/** Manifests read at once; a list begins with fewer, for callers that want only the first. */
const WINDOW = 64;
const FIRST_WINDOW = 8;

/** Ids that a list remembers to have shown. */
const REMEMBERED = 65_536;

/** Times that a list begins again where it is without coming any further. */
const TRIES = 5;

export interface HeadListOptions {
  /** Whether a head is wanted. */
  readonly passes: (head: StoredHead) => boolean;
  /** Called with the error of an unreadable manifest. */
  readonly onUnreadable: (error: VarveError) => void;
  /** Reads all manifests, in the order of places: when pages or journals cannot be read. */
  readonly readAll: () => AsyncIterable<PlacedHead>;
}

/**
 * Lists heads in the order of their places, in bounded memory. What no journal names is on the
 * pages as it is stored. What a journal names may have changed: it is read, and what is stored
 * decides; nothing is left out because of what one of its candidates says (rule
 * `records-decide-lists`).
 */
export async function* listHeads(
  tables: HeadTables,
  kind: ManifestKind,
  options: HeadListOptions,
): AsyncGenerator<PlacedHead, void, undefined> {
  const progress = new Progress();
  for (let tries = 0; tries < TRIES; tries++) {
    const from = progress.after;
    try {
      for await (const batch of candidates(tables, kind, from)) {
        for (const window of progress.windowsOf(batch)) {
          for (const placed of await verified(tables, kind, window, options)) {
            if (progress.isNew(placed)) yield placed;
          }
          progress.after = window.at(-1);
        }
      }
      return;
    } catch (error) {
      if (isUnreadable(error)) break;
      if (!(error instanceof IndexMoved)) throw error;
      if (progress.after !== from) tries = 0;
    }
  }
  for await (const placed of options.readAll()) {
    const { after } = progress;
    if (after !== undefined && comparePlaces(placed, after) <= 0) continue;
    if (options.passes(placed.head) && progress.isNew(placed)) yield placed;
  }
}

/** How far a list has come. */
class Progress {
  /** The last place whose candidates are all decided. */
  after: Place | undefined;
  readonly #shown = new Set<string>();
  #window = FIRST_WINDOW;

  /**
   * Whether an id was not shown yet, and may be: one that is deleted and put again meanwhile would
   * come twice. Long lists remember a limited number; compactions keep the pages that they read.
   */
  isNew({ id }: PlacedHead): boolean {
    if (this.#shown.has(id)) return false;
    if (this.#shown.size < REMEMBERED) this.#shown.add(id);
    return true;
  }

  /** Candidates in windows, each with a limited number that have to be read. */
  *windowsOf(batch: readonly Candidate[]): Generator<readonly Candidate[], void, undefined> {
    let window: Candidate[] = [];
    let unsure = 0;
    for (const candidate of batch) {
      window.push(candidate);
      if (candidate.announced !== undefined) unsure++;
      if (unsure < this.#window) continue;
      this.#window = Math.min(WINDOW, this.#window * 2);
      yield window;
      [window, unsure] = [[], 0];
    }
    if (window.length > 0) yield window;
  }
}

/** The heads that are there and that pass. */
async function verified(
  { protocol }: HeadTables,
  kind: ManifestKind,
  window: readonly Candidate[],
  { passes, onUnreadable }: HeadListOptions,
): Promise<PlacedHead[]> {
  const mayPass = (head: StoredHead | undefined) => head !== undefined && passes(head);
  const read = async ({ id, archived }: Candidate): Promise<StoredHead | undefined> => {
    try {
      const { record } = await protocol.manifests.read({ kind, id });
      return versionAt(id, archived, record).head;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      onUnreadable(error);
      return undefined;
    }
  };
  const unsure = window.filter(
    ({ version, announced }) => announced && [version?.head, ...announced].some(mayPass),
  );
  const truth = await mapAll(unsure, async (each) => [each, await read(each)] as const);
  const heads = new Map(truth);
  return window.flatMap((candidate) => {
    const { id, archived, version, announced } = candidate;
    const head = announced === undefined ? version?.head : heads.get(candidate);
    return head !== undefined && passes(head) ? [{ id, archived, head }] : [];
  });
}
