import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { VarveError } from '../../../core/errors.ts';
import { referrerOf, segmentKey } from '../format/keys.ts';
import type { ManifestContent } from '../format/manifest-record.ts';
import { decodePage, type PageContent } from '../format/page.ts';
import { decodeSegment } from '../format/segment-data.ts';
import type { Generation } from '../format/sidecar.ts';
import type { Foundation } from './foundation.ts';
import type { SegmentCache } from './segment-cache.ts';

/** The pages of manifests, as they are stored. */
export class PageTable {
  readonly #foundation: Pick<Foundation, 'store'>;
  readonly #cache: SegmentCache;

  constructor(foundation: Pick<Foundation, 'store'>, cache: SegmentCache) {
    this.#foundation = foundation;
    this.#cache = cache;
  }

  /**
   * Reads a page of the manifest with that object.
   *
   * @throws `NOT_FOUND` when it is not stored: the manifest has changed, or the page is lost;
   *   `CORRUPT`, `UNSUPPORTED_FORMAT`.
   */
  async read(objectKey: string, address: Address, gen: Generation): Promise<PageContent> {
    const key = segmentKey(address, gen);
    return decodePage(await this.#bytesOf(address, gen), referrerOf(objectKey), key);
  }

  /** Reads the pages of a content that have these addresses, in their order. */
  readAll(
    objectKey: string,
    { references }: Pick<ManifestContent, 'references'>,
    addresses: readonly Address[],
  ): Promise<PageContent[]> {
    return mapAll(addresses, async (address) => {
      const reference = references.get(address);
      if (reference === undefined)
        throw new VarveError('CORRUPT', `${objectKey}: has no reference to its page ${address}`);
      return this.read(objectKey, address, reference.gen);
    });
  }

  async #bytesOf(address: Address, gen: Generation): Promise<Uint8Array> {
    const cached = this.#cache?.get(address);
    if (cached !== undefined) return cached;
    const object = await this.#foundation.store.get(segmentKey(address, gen));
    if (object === undefined)
      throw new VarveError('NOT_FOUND', `the page ${segmentKey(address, gen)} is not stored`);
    const bytes = decodeSegment(object.body, address, gen);
    this.#cache?.set(address, bytes);
    return bytes;
  }
}
