import { VarveError } from '../../../core/errors.ts';
import type { ManifestKind } from '../../contract/manifests.ts';
import { type Catalog, decodeCatalog, encodeCatalog } from '../format/head-catalog.ts';
import { catalogKey, headPagesPrefix } from '../format/keys.ts';
import type { Foundation } from '../tables/foundation.ts';

/** What a catalog names. */
export type CatalogContent = Omit<Catalog, 'nonce'>;

/** A catalog as it was read; without a tag there is none yet. */
export interface SeenCatalog extends CatalogContent {
  readonly etag: string | undefined;
}

/** The catalogs of pages of heads, one for each kind of manifests, changed by compare-and-swap. */
export class HeadCatalogs {
  readonly #foundation: Pick<Foundation, 'store' | 'serverClock' | 'randomness'>;

  constructor(foundation: Pick<Foundation, 'store' | 'serverClock' | 'randomness'>) {
    this.#foundation = foundation;
  }

  /** @throws `CORRUPT`, also when it is lost; `UNSUPPORTED_FORMAT`. */
  async read(kind: ManifestKind): Promise<SeenCatalog> {
    const key = catalogKey(kind);
    let object = await this.#foundation.store.get(key);
    if (object === undefined) {
      // No page is stored before the catalog is.
      const { objects } = await this.#foundation.store.list(headPagesPrefix(kind), { limit: 1 });
      if (objects.length === 0) return { runs: [], retired: [], etag: undefined };
      // Another process may have stored both just now.
      object = await this.#foundation.store.get(key);
      if (object === undefined)
        throw new VarveError('CORRUPT', `${key} is lost: pages of heads are left`);
    }
    this.#foundation.serverClock.observe(object.serverTime);
    return { ...decodeCatalog(object.body, key), etag: object.etag };
  }

  /** The tag of the catalog, whether it can be read or not. */
  async tag(kind: ManifestKind): Promise<string | undefined> {
    return (await this.#foundation.store.head(catalogKey(kind)))?.etag;
  }

  /**
   * Replaces the catalog that was seen. Returns `false` when another one is there.
   *
   * @throws `OUTCOME_UNKNOWN`: the pages of both have to stay.
   */
  async swap(
    kind: ManifestKind,
    { etag }: Pick<SeenCatalog, 'etag'>,
    content: CatalogContent,
  ): Promise<boolean> {
    const { store, randomness } = this.#foundation;
    const key = catalogKey(kind);
    const catalog: Catalog = { ...content, nonce: randomness.nonce() };
    const condition =
      etag === undefined ? ({ kind: 'absent' } as const) : ({ kind: 'match', etag } as const);
    const result = await store.put(key, encodeCatalog(catalog, key), condition);
    if (result.outcome !== 'unknown') return result.outcome === 'stored';
    const object = await store.get(key);
    if (object !== undefined && decodeCatalog(object.body, key).nonce === catalog.nonce)
      return true;
    throw new VarveError('OUTCOME_UNKNOWN', `${key} may or may not have been written`, {
      cause: result.error,
    });
  }
}
