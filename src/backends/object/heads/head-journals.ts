import { because, isVarveError, VarveError } from '../../../core/errors.ts';
import type { ManifestKind } from '../../contract/manifests.ts';
import { listObjects } from '../../storage/listing.ts';
import type { ListedObject } from '../../storage/object-store.ts';
import { UnfitService } from '../../storage/service-watch.ts';
import { decodeJournal, encodeJournal, type JournalEntry } from '../format/head-journal.ts';
import { journalKey, journalsPrefix, rewrittenJournalKey } from '../format/keys.ts';
import type { Foundation } from '../tables/foundation.ts';

/**
 * Journals: each names coming changes of manifests, and is stored before any of them is made (rule
 * `journal-before-change`).
 */
export class HeadJournals {
  readonly #foundation: Pick<Foundation, 'store' | 'serverClock' | 'randomness'>;

  constructor(foundation: Pick<Foundation, 'store' | 'serverClock' | 'randomness'>) {
    this.#foundation = foundation;
  }

  /**
   * Stores a journal. Returns its key.
   *
   * @throws `UNAVAILABLE` when it may not be stored: then what it announces must not happen.
   */
  async write(kind: ManifestKind, entries: readonly JournalEntry[]): Promise<string> {
    const key = journalKey(kind, this.#foundation.randomness.nonce());
    await this.#put(key, entries);
    return key;
  }

  /** Stores a journal with those entries of another one that stay. */
  async rewrite(key: string, entries: readonly JournalEntry[]): Promise<void> {
    await this.#put(rewrittenJournalKey(key), entries);
  }

  async #put(key: string, entries: readonly JournalEntry[]): Promise<void> {
    const { store, serverClock } = this.#foundation;
    const result = await store.put(key, encodeJournal(entries, key), { kind: 'any' });
    if (result.outcome === 'stored') {
      serverClock.observe(result.serverTime);
      return;
    }
    const cause = result.outcome === 'unknown' ? result.error : undefined;
    if (isVarveError(cause, 'ABORTED') || cause instanceof UnfitService) throw cause;
    throw new VarveError('UNAVAILABLE', `nothing was written: try again later${because(cause)}`, {
      cause,
    });
  }

  async list(kind: ManifestKind): Promise<ListedObject[]> {
    const journals: ListedObject[] = [];
    for await (const journal of listObjects(this.#foundation, journalsPrefix(kind)))
      journals.push(journal);
    return journals;
  }

  /**
   * `undefined` when it is gone.
   *
   * @throws `CORRUPT`, `UNSUPPORTED_FORMAT`.
   */
  async read(key: string): Promise<JournalEntry[] | undefined> {
    const object = await this.#foundation.store.get(key);
    return object && decodeJournal(object.body, key);
  }
}
