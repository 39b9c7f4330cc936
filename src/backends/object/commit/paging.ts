import { type Address, addressOf } from '../../../core/address.ts';
import { isUnreadable } from '../../../core/errors.ts';
import { MAX_SEGMENT_BYTES, type NewSegment } from '../../contract/manifests.ts';
import { referrerOf } from '../format/keys.ts';
import {
  type DraftContent,
  type EntryPage,
  type HeldReference,
  type ManifestContent,
  nameOfReference,
  type RecordEntry,
  type Reference,
} from '../format/manifest-record.ts';
import { encodePage, type PageContent } from '../format/page.ts';
import { type AttemptId, parseGeneration } from '../format/sidecar.ts';
import { neededBy } from '../format/spill.ts';
import type { PageSizes } from '../tables/foundation.ts';
import type { PageTable } from '../tables/page-table.ts';
import type { Change } from './attempt.ts';

/**
 * Moves older entries of a manifest, and older idempotency keys, out of its record into pages, so
 * that an append stores only what is new. Pages are merged by tiers, as a log-structured merge tree
 * does it: when `fanIn` pages are of one tier, they become one page of the next. So there are
 * O(log n) pages, and each entry is stored once for each tier.
 */

/** What paging changes, and the segments of new pages. */
export interface Paged extends Pick<Change, 'moved' | 'absorbed'> {
  readonly content: DraftContent;
  readonly sources: ReadonlyMap<Address, NewSegment>;
}

/** Whose pages are made. */
export interface PageOwner {
  readonly objectKey: string;
  /** In every new page, so that no two have the same bytes. */
  readonly id: AttemptId;
}

/**
 * Moves the entries of `from` into pages, if `content` adds entries to them and there are enough.
 * Only what is committed has references that a page can name, so new entries stay in the record.
 */
export async function page(
  table: PageTable,
  owner: PageOwner,
  from: ManifestContent | undefined,
  content: DraftContent,
  sizes: PageSizes,
): Promise<Paged> {
  const paging = new Paging(table, owner, from, sizes);
  const isLonger =
    from !== undefined &&
    from.entries.length > 0 &&
    content.pages === from.pages &&
    content.entries.length > from.entries.length &&
    content.entries[0] === from.entries[0];
  let paged = content;
  if (isLonger && isDue(content, sizes)) {
    const { entries } = from;
    const pages = await paging.entryPages(from.pages, entries, referencesOfEntries(from));
    if (pages !== undefined)
      paged = { ...paged, pages, entries: content.entries.slice(entries.length) };
  }
  const { keyPages, idempotencyKeys } = content;
  if (idempotencyKeys.length > sizes.keys) {
    paged = {
      ...paged,
      keyPages: await paging.keyPages(keyPages, idempotencyKeys),
      idempotencyKeys: [],
    };
  }
  const { sources, moved, absorbed } = paging;
  return { content: paged, sources, moved, absorbed };
}

function isDue({ pages, entries }: DraftContent, sizes: PageSizes): boolean {
  const bytes = entries.reduce((sum, entry) => sum + weightOf(entry), 0);
  if (bytes < (pages.length === 0 ? sizes.firstAbove : sizes.above)) return false;
  return entries.length >= sizes.entries || bytes >= sizes.above * sizes.fanIn;
}

class Paging {
  readonly sources = new Map<Address, NewSegment>();
  readonly moved: HeldReference[] = [];
  readonly absorbed = new Map<Address, readonly HeldReference[]>();
  readonly #table: PageTable;
  readonly #owner: PageOwner;
  readonly #from: ManifestContent | undefined;
  readonly #sizes: PageSizes;

  constructor(
    table: PageTable,
    owner: PageOwner,
    from: ManifestContent | undefined,
    sizes: PageSizes,
  ) {
    this.#table = table;
    this.#owner = owner;
    this.#from = from;
    this.#sizes = sizes;
  }

  /** The pages with entries added; `undefined` when one of these is too long for a page. */
  async entryPages(
    pages: readonly EntryPage[],
    entries: readonly RecordEntry[],
    references: readonly HeldReference[],
  ): Promise<EntryPage[] | undefined> {
    const bytes = entries.reduce((sum, entry) => sum + weightOf(entry), 0);
    const { kept, read } = await this.#absorb(pages, bytes);
    const all = [...read.flatMap((each) => each.entries), ...entries];
    const held = distinct([...read.flatMap((each) => each.references), ...references]);
    const added: { page: EntryPage; bytes: Buffer }[] = [];
    for (const slice of slicesBelow(all, this.#sizes.most)) {
      const bytes = this.#encode({ entries: slice, references: neededOf(slice, held) });
      if (bytes.length > MAX_SEGMENT_BYTES) return undefined;
      added.push({ page: { address: addressOf(bytes), entries: slice.length }, bytes });
    }
    for (const { bytes } of added) this.#add(bytes);
    this.#note(pages.slice(kept.length), read);
    this.moved.push(...held);
    return [...kept, ...added.map((each) => each.page)];
  }

  async keyPages(
    pages: readonly Address[],
    idempotencyKeys: readonly string[],
  ): Promise<Address[]> {
    const listed = pages.map((address) => ({ address }));
    const { kept, read } = await this.#absorb(listed, KEY_BYTES * idempotencyKeys.length);
    const all = [...read.flatMap((each) => each.idempotencyKeys), ...idempotencyKeys];
    this.#note(listed.slice(kept.length), read);
    const address = this.#add(this.#encode({ idempotencyKeys: all }));
    return [...kept.map((each) => each.address), address];
  }

  /** Reads the newest pages that a new one of that many bytes replaces. */
  async #absorb<Page extends { readonly address: Address }>(
    pages: readonly Page[],
    bytes: number,
  ): Promise<{ readonly kept: readonly Page[]; readonly read: readonly PageContent[] }> {
    const references = this.#from?.references ?? new Map<Address, Reference>();
    const lengths = pages.map(({ address }) => {
      const reference = references.get(address);
      return reference === undefined ? 0 : parseGeneration(reference.gen).length;
    });
    const count = absorbedPages(lengths, bytes, this.#sizes);
    const last = pages.slice(pages.length - count);
    try {
      const addresses = last.map(({ address }) => address);
      const read = await this.#table.readAll(this.#owner.objectKey, { references }, addresses);
      return { kept: pages.slice(0, pages.length - count), read };
    } catch (error) {
      // Damage keeps a page from being merged, not its manifest from growing.
      if (!isUnreadable(error)) throw error;
      return { kept: pages, read: [] };
    }
  }

  #note(pages: readonly { readonly address: Address }[], read: readonly PageContent[]): void {
    for (const [at, { references }] of read.entries())
      this.absorbed.set((pages[at] as { address: Address }).address, references);
  }

  #encode(content: Partial<PageContent>): Buffer {
    const { objectKey, id } = this.#owner;
    const nothing = { entries: [], references: [], idempotencyKeys: [] };
    return encodePage({ ...nothing, ...content, referrer: referrerOf(objectKey) }, id);
  }

  #add(bytes: Buffer): Address {
    const address = addressOf(bytes);
    this.sources.set(address, { address, encoding: 'bytes', bytes: () => bytes });
    return address;
  }
}

/** How many of the newest pages become one with a new page of that many bytes. */
export function absorbedPages(
  lengths: readonly number[],
  bytes: number,
  sizes: Pick<PageSizes, 'above' | 'fanIn' | 'most'>,
): number {
  let count = 0;
  let total = bytes;
  for (;;) {
    const tier = tierOf(total, sizes);
    let run = 0;
    let sum = total;
    for (const length of lengths.slice(0, lengths.length - count).reverse()) {
      if (tierOf(length, sizes) > tier || sum + length > sizes.most) break;
      sum += length;
      run++;
    }
    if (run === 0 || (run + 1 < sizes.fanIn && sum < sizes.most / 2)) return count;
    count += run;
    total = sum;
  }
}

/** A page of half of the most bytes is full: it is not merged again. */
function tierOf(
  bytes: number,
  { above, fanIn, most }: Pick<PageSizes, 'above' | 'fanIn' | 'most'>,
) {
  if (bytes >= most / 2) return Number.POSITIVE_INFINITY;
  return Math.max(0, Math.floor(Math.log(bytes / above) / Math.log(fanIn)));
}

/** What a key takes in a page, in bytes. */
const KEY_BYTES = 15;

/** About the bytes of an entry in a record or a page, rather too many. */
function weightOf({ body, segments }: RecordEntry): number {
  const ofBody = body.kind === 'inline' ? body.bytes.length : 150 + 150 * body.parts.length;
  return 24 + ofBody + 150 * segments.length;
}

/** Cuts entries into slices of at most about `most` bytes. */
function* slicesBelow(
  entries: readonly RecordEntry[],
  most: number,
): Generator<RecordEntry[], void, undefined> {
  let slice: RecordEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const weight = weightOf(entry);
    if (slice.length > 0 && bytes + weight > most) {
      yield slice;
      slice = [];
      bytes = 0;
    }
    slice.push(entry);
    bytes += weight;
  }
  if (slice.length > 0) yield slice;
}

/** The references of a record to what its entries need: all but those to pages. */
function referencesOfEntries({ entries, references }: ManifestContent): HeldReference[] {
  const needed = new Set(entries.flatMap((entry) => [...neededBy(entry)]));
  return [...needed].flatMap((address) => {
    const reference = references.get(address);
    return reference === undefined ? [] : [{ address, ...reference }];
  });
}

function neededOf(
  entries: readonly RecordEntry[],
  references: readonly HeldReference[],
): HeldReference[] {
  const needed = new Set(entries.flatMap((entry) => [...neededBy(entry)]));
  return references.filter(({ address }) => needed.has(address));
}

function distinct(references: readonly HeldReference[]): HeldReference[] {
  return [...new Map(references.map((each) => [nameOfReference(each), each])).values()];
}
