import { MANIFEST_KINDS } from '../../contract/manifests.ts';
import { listPages } from '../../storage/listing.ts';
import { manifestsPrefix, referrerOf } from '../format/keys.ts';
import type { Protocol } from '../tables/protocol.ts';

/**
 * The keys of manifests' objects by what tokens call them. Those who ask share a LIST of all
 * manifests, which begins after they have asked: a manifest may have come just now.
 */
export class ReferrerKeys {
  readonly #protocol: Protocol;
  readonly #most: number;
  readonly #known = new Map<string, string>();
  #wanted = new Set<string>();
  /** The LIST that is under way. */
  #listing: Promise<void> = Promise.resolve();
  /** The LIST that begins after it. */
  #next: Promise<void> | undefined;

  /** @param most keys that are remembered, besides those that were asked for. */
  constructor(protocol: Protocol, most: number) {
    this.#protocol = protocol;
    this.#most = most;
  }

  /** `undefined` when there is no such manifest. */
  async objectKeyOf(referrer: string): Promise<string | undefined> {
    if (!this.#known.has(referrer)) {
      this.#wanted.add(referrer);
      this.#next ??= this.#listAfter(this.#listing);
      await this.#next;
    }
    return this.#known.get(referrer);
  }

  async #listAfter(earlier: Promise<void>): Promise<void> {
    // Who waits for the earlier one learns of its failure.
    await earlier.catch(() => {});
    const wanted = this.#wanted;
    this.#wanted = new Set();
    this.#listing = this.#next as Promise<void>;
    this.#next = undefined;
    for (const kind of MANIFEST_KINDS) {
      for await (const page of listPages(this.#protocol, manifestsPrefix(kind))) {
        for (const { key } of page) {
          const referrer = referrerOf(key);
          if (this.#known.size < this.#most || wanted.has(referrer)) this.#known.set(referrer, key);
        }
      }
    }
  }
}
