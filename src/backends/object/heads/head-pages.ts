import { isVarveError, VarveError } from '../../../core/errors.ts';
import type { ManifestKind } from '../../contract/manifests.ts';
import { type PageSummary, summaryOf } from '../format/head-catalog.ts';
import { HeadPage } from '../format/head-page.ts';
import type { HeadVersion } from '../format/head-version.ts';
import { headPageKey } from '../format/keys.ts';
import type { Foundation } from '../tables/foundation.ts';
import type { HeadsMemory } from './heads-memory.ts';
import { IndexMoved } from './index-moved.ts';

/** The stored pages of heads, which never change. */
export class HeadPages {
  readonly #foundation: Pick<Foundation, 'store' | 'randomness'>;
  readonly #cache: HeadsMemory['pages'];

  constructor(foundation: Pick<Foundation, 'store' | 'randomness'>, { pages }: HeadsMemory) {
    this.#foundation = foundation;
    this.#cache = pages;
  }

  /** @throws `IndexMoved` when it is gone; `CORRUPT`, `UNSUPPORTED_FORMAT`. */
  async read(key: string): Promise<HeadPage> {
    const known = this.#cache.get(key);
    if (known !== undefined) return known;
    const object = await this.#foundation.store.get(key);
    if (object === undefined) throw new IndexMoved(key);
    const page = HeadPage.decode(object.body, key);
    this.#cache.set(key, page);
    return page;
  }

  /** Stores versions in the order of their places, at least one and at most a page of them. */
  async write(kind: ManifestKind, versions: readonly HeadVersion[]): Promise<PageSummary> {
    const { store, randomness } = this.#foundation;
    const key = headPageKey(kind, randomness.nonce());
    const page = HeadPage.of(versions);
    const result = await store.put(key, page.encode(key), { kind: 'absent' });
    if (result.outcome !== 'stored') {
      const cause = result.outcome === 'unknown' ? result.error : undefined;
      if (isVarveError(cause)) throw cause;
      throw new VarveError('UNAVAILABLE', `${key} was not stored`, { cause });
    }
    this.#cache.set(key, page);
    return summaryOf(key, versions);
  }
}
