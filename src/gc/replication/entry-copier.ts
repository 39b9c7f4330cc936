import type { Backend } from '../../backends/contract/backend.ts';
import type {
  Locator,
  NewEntry,
  NewSegment,
  StoredEntry,
} from '../../backends/contract/manifests.ts';
import type { AbortOptions } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';

/** Segments of one stream that are in memory at once. */
const WINDOW_SEGMENTS = 64;

/** Turns stored entries of one store into new ones for another. */
export class EntryCopier {
  /** Canonical bytes of the segments that were fetched. */
  copiedBytes = 0;
  readonly #source: Backend;
  readonly #target: Backend;
  readonly #abort: AbortOptions;

  constructor(source: Backend, target: Backend, abort: AbortOptions) {
    this.#source = source;
    this.#target = target;
    this.#abort = abort;
  }

  /** {@link copy} for a manifest of any size: a window of segments at a time. */
  async *stream(entries: readonly StoredEntry[]): AsyncGenerator<NewEntry, void, undefined> {
    let window: StoredEntry[] = [];
    let segments = 0;
    for (const [at, entry] of entries.entries()) {
      window.push(entry);
      segments += entry.segments.length;
      if (segments < WINDOW_SEGMENTS && at < entries.length - 1) continue;
      yield* await this.copy(window);
      window = [];
      segments = 0;
    }
  }

  /** The entries as new ones; fetches the bytes of the segments that the target lacks. */
  async copy(entries: readonly StoredEntry[]): Promise<NewEntry[]> {
    const locators = [...new Set(entries.flatMap(({ segments }) => segments))];
    const addresses = await this.#source.addresses(locators, this.#abort);
    const stored = await this.#target.find(addresses, this.#abort);
    const segments = new Map<Locator, NewSegment>();
    const missing: { readonly locator: Locator; readonly address: Address }[] = [];
    const present: { readonly locator: Locator; readonly there: Locator }[] = [];
    for (const [at, locator] of locators.entries()) {
      const there = stored[at];
      if (there === undefined) missing.push({ locator, address: addresses[at] as Address });
      else present.push({ locator, there });
    }
    const known = await this.#target.describe(
      present.map(({ there }) => there),
      this.#abort,
    );
    for (const [at, { locator }] of present.entries()) {
      const { address, encoding } = known[at] as (typeof known)[number];
      segments.set(locator, { address, encoding, bytes: null });
    }
    const wanted = missing.map(({ locator }) => locator);
    const [descriptions, contents] = await Promise.all([
      this.#source.describe(wanted, this.#abort),
      this.#source.fetch(wanted, this.#abort),
    ]);
    for (const [at, { locator, address }] of missing.entries()) {
      const bytes = contents[at] as Uint8Array;
      this.copiedBytes += bytes.length;
      segments.set(locator, {
        address,
        encoding: descriptions[at]?.encoding ?? 'bytes',
        bytes: () => bytes,
      });
    }
    return entries.map((entry) => ({
      body: entry.body,
      segments: entry.segments.map((locator) => segments.get(locator) as NewSegment),
    }));
  }
}
