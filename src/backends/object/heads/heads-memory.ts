import { LRUCache } from 'lru-cache';
import { MANIFEST_KINDS, type ManifestKind } from '../../contract/manifests.ts';
import type { HeadPage } from '../format/head-page.ts';
import type { HeadVersion } from '../format/head-version.ts';

/** Versions of heads on pages in memory. */
const CACHED_ROWS = 65_536;

/**
 * What a store's lists are read from: `none`: every manifest's object. `building`: the same, but
 * writers keep journals already. `ready`: pages and journals.
 */
export type HeadsState = 'none' | 'building' | 'ready';

/** What all calls of an open store share of its lists. */
export class HeadsMemory {
  state: HeadsState;
  /** Pages never change. */
  readonly pages = new LRUCache<string, HeadPage>({
    maxSize: CACHED_ROWS,
    sizeCalculation: ({ size }) => Math.max(1, size),
  });
  /** Journals of this process of which everything is settled, with what came of them. */
  readonly settled = new Map(
    MANIFEST_KINDS.map((kind) => [kind, new Map<string, readonly HeadVersion[]>()]),
  ) as ReadonlyMap<ManifestKind, Map<string, readonly HeadVersion[]>>;

  /** Kinds that this process compacts just now. */
  readonly compacting = new Set<ManifestKind>();

  constructor(state: HeadsState) {
    this.state = state;
  }

  settledOf(kind: ManifestKind): Map<string, readonly HeadVersion[]> {
    return this.settled.get(kind) as Map<string, readonly HeadVersion[]>;
  }
}
