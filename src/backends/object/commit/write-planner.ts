import type { Address } from '../../../core/address.ts';
import { isUnreadable, type VarveError } from '../../../core/errors.ts';
import type { NewSegment, WriteFailure, WriteOutcome } from '../../contract/manifests.ts';
import {
  type ArchivedAt,
  entryCountOf,
  type ManifestContent,
  pagesOf,
} from '../format/manifest-record.ts';
import { type PageContent, withoutPages } from '../format/page.ts';
import type { Generation } from '../format/sidecar.ts';
import { neededByContent, spill } from '../format/spill.ts';
import type { PageTable } from '../tables/page-table.ts';
import type { Protocol } from '../tables/protocol.ts';
import type { Attempt, Change, Needs } from './attempt.ts';
import { fold, type PlacedWrite } from './fold.ts';
import { page } from './paging.ts';

/** What writes would make of the content that an attempt saw. */
export interface WritePlan extends Needs, Change {
  readonly planner: WritePlanner;
  /** The content that it was made on, and may replace. */
  readonly base: ManifestContent | undefined;
  readonly isChanged: boolean;
  readonly outcomes: ReadonlyMap<number, WriteOutcome>;
  /**
   * What the writes name and the content references already: they may not succeed before its data
   * was looked at (rule `trust-only-seen-data`).
   */
  readonly reused: ReadonlyMap<Address, Generation>;
}

/** A content as writes are judged on it. */
interface Judged extends Pick<Change, 'from' | 'absorbed'> {
  /** Why it still has pages that writes need to have read. */
  readonly unread: VarveError | undefined;
}

/** Bodies of a new manifest may have this many times the inline bytes of one written again. */
const SPILL_FACTOR_OF_NEW = 16;

/**
 * Plans the writes of one call to one manifest. Plans again whenever the content turns out to be
 * another, until one plan is committed.
 */
export class WritePlanner {
  readonly attempt: Attempt;
  readonly writes: readonly PlacedWrite[];
  readonly #archived: ArchivedAt;
  /** Generations without data. */
  readonly #lost = new Map<Address, Generation>();
  /** Writes that failed for a segment of theirs. */
  readonly #failures = new Map<number, WriteFailure>();
  /** Why pages of the stored content cannot be read. */
  #lostPages: VarveError | undefined;

  constructor(attempt: Attempt, writes: readonly PlacedWrite[], archived: ArchivedAt) {
    this.attempt = attempt;
    this.writes = writes;
    this.#archived = archived;
  }

  /** Whether it plans to create the manifest although it has not looked whether there is one. */
  get guessesAbsence(): boolean {
    const { hasLooked, seen } = this.attempt;
    return !hasLooked && seen.record === undefined && this.writes[0]?.write.operation === 'put';
  }

  /** @throws `NOT_FOUND` when a page of the content is not stored any more. */
  async plan({ clock, pages, settings }: Protocol): Promise<WritePlan> {
    const { attempt } = this;
    const { key, id } = attempt;
    const base = attempt.seen.record?.current;
    const writes = this.writes.filter(({ position }) => !this.#failures.has(position));
    const { from, absorbed, unread } = await this.#judged(pages, base, writes);
    const lost = this.#lostOf(from);
    const olderKeys = await this.#olderKeys(pages, from, writes);
    const now = Math.floor(clock.now());
    const context = { key, attempt: id, now, archived: this.#archived, lost, olderKeys, unread };
    const folded = fold(from, writes, context);
    const reused = new Map<Address, Generation>();
    const reuse = (address: Address) => {
      const reference = from?.references.get(address);
      if (reference !== undefined && !lost.has(address)) reused.set(address, reference.gen);
    };
    for (const address of folded.named) reuse(address);
    const outcomes = new Map([...folded.outcomes, ...this.#failures]);
    const missing = new Map<Address, NewSegment>();
    const common = { planner: this, base, from, outcomes, reused, lost, missing };
    const plan = { ...folded, ...common, absorbed, moved: [] };
    if (!folded.isChanged || folded.content === undefined) return plan;
    const paged = await page(pages, attempt, from, folded.content, settings.pageSizes);
    const { content, sources } = spill(
      paged.content,
      base === undefined ? settings.spillAbove * SPILL_FACTOR_OF_NEW : settings.spillAbove,
    );
    for (const address of neededByContent(content)) {
      if (sources.has(address)) reuse(address);
      const given =
        paged.sources.get(address) ?? sources.get(address) ?? folded.sources.get(address);
      // What is lost stays so unless these writes bring it.
      const isKept =
        from?.references.has(address) === true && (given === undefined || !lost.has(address));
      if (isKept || attempt.hasTaken(address)) continue;
      missing.set(address, given ?? { address, encoding: 'bytes', bytes: null });
    }
    const allAbsorbed = new Map([...absorbed, ...paged.absorbed]);
    return { ...plan, content, moved: paged.moved, absorbed: allAbsorbed };
  }

  /** Later plans read no pages: the stored content has them, and they are lost. */
  losePages(error: VarveError | undefined): void {
    this.#lostPages = error;
  }

  /** Later plans renew references to these generations, whose data is lost. */
  lose(generations: Iterable<readonly [Address, Generation]>): void {
    for (const [address, generation] of generations) this.#lost.set(address, generation);
  }

  /** Fails every write that names a segment. */
  failSegment(address: Address, error: VarveError): void {
    for (const { position, write } of this.writes) {
      if (!('entries' in write) || this.#failures.has(position)) continue;
      const isNamed = write.entries.some(({ segments }) =>
        segments.some((segment) => segment.address === address),
      );
      if (isNamed) this.#failures.set(position, { status: 'failed', error });
    }
  }

  /** Fails all writes. */
  failAll(error: VarveError): ReadonlyMap<number, WriteOutcome> {
    return new Map(this.writes.map(({ position }) => [position, { status: 'failed', error }]));
  }

  /**
   * A put is compared with the whole content, and keeps references of what it replaces, so it is
   * judged on a content without pages.
   */
  async #judged(
    pages: PageTable,
    base: ManifestContent | undefined,
    writes: readonly PlacedWrite[],
  ): Promise<Judged> {
    const judged = { from: base, absorbed: new Map(), unread: undefined };
    const isCompared = ({ write }: PlacedWrite) =>
      write.operation === 'put' &&
      (write.ifExists === 'replace' ||
        writes.length > 1 ||
        base === undefined ||
        write.entries.length === entryCountOf(base));
    if (!writes.some(isCompared) || base === undefined || pagesOf(base).length === 0) return judged;
    try {
      const addresses = pagesOf(base);
      const contents = await this.#read(pages, base, addresses);
      const absorbed = new Map(
        addresses.map((address, at) => [address, contents[at]?.references ?? []]),
      );
      return { from: withoutPages(base, contents), absorbed, unread: undefined };
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return { ...judged, unread: error };
    }
  }

  /** The idempotency keys in pages, if a write depends on them. */
  async #olderKeys(
    pages: PageTable,
    content: ManifestContent | undefined,
    writes: readonly PlacedWrite[],
  ): Promise<() => ReadonlySet<string>> {
    const isAsked = writes.some(({ write }) => 'idempotencyKey' in write);
    if (!isAsked || content === undefined || content.keyPages.length === 0) return () => new Set();
    try {
      const contents = await this.#read(pages, content, content.keyPages);
      const keys = new Set(contents.flatMap(({ idempotencyKeys }) => idempotencyKeys));
      return () => keys;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return () => {
        throw error;
      };
    }
  }

  #read(
    pages: PageTable,
    content: ManifestContent,
    addresses: readonly Address[],
  ): Promise<PageContent[]> {
    if (this.#lostPages !== undefined) throw this.#lostPages;
    return pages.readAll(this.attempt.objectKey, content, addresses);
  }

  #lostOf(content: ManifestContent | undefined): ReadonlySet<Address> {
    const isLost = ([address, gen]: [Address, Generation]) =>
      content?.references.get(address)?.gen === gen;
    return new Set([...this.#lost].filter(isLost).map(([address]) => address));
  }
}
