import { throwIfAborted } from '../../../core/abort.ts';
import type { VarveError } from '../../../core/errors.ts';
import type { ListFilter, ManifestHead, ManifestKind } from '../../contract/manifests.ts';
import {
  compareArchived,
  comparePlaces,
  type StoredHead,
  storedHead,
} from '../format/head-version.ts';
import type { ListIndex } from '../listing/list-index.ts';
import { walkRecords } from '../listing/manifest-walk.ts';
import type { Protocol } from '../tables/protocol.ts';
import type { HeadIndex } from './head-index.ts';
import type { PlacedHead } from './head-list.ts';

/** Lists of manifests, from whatever the store keeps for them. */
export class ManifestLists {
  readonly #protocol: Protocol;
  readonly #index: ListIndex;
  readonly #heads: HeadIndex;

  constructor(protocol: Protocol, index: ListIndex, heads: HeadIndex) {
    this.#protocol = protocol;
    this.#index = index;
    this.#heads = heads;
  }

  /** As `Backend.list`. */
  async *list(
    kind: ManifestKind,
    filter: ListFilter,
  ): AsyncGenerator<ManifestHead, void, undefined> {
    const { order = 'archived' } = filter;
    const unreadable: VarveError[] = [];
    const placed = this.placed(kind, passes(filter), (error) => unreadable.push(error));
    const sorted = order === 'archived' ? placed : await sortedByCreation(placed, order);
    for await (const { id, head } of sorted) {
      throwIfAborted(this.#protocol.call.signal);
      yield { key: { kind, id }, ...head };
    }
    // At the end, so that callers do not mistake unreadable manifests for deleted ones.
    for (const error of unreadable) throw error;
  }

  /** The heads that pass, in the order of archiving. */
  placed(
    kind: ManifestKind,
    passes: (head: StoredHead) => boolean = () => true,
    onUnreadable: (error: VarveError) => void = () => {},
  ): AsyncIterable<PlacedHead> {
    if (this.#heads.state !== 'ready') return this.#fromRollups(kind, passes, onUnreadable);
    return this.#heads.list(kind, {
      passes,
      onUnreadable,
      readAll: () => this.#fromManifests(kind, onUnreadable),
    });
  }

  async *#fromRollups(
    kind: ManifestKind,
    passes: (head: StoredHead) => boolean,
    onUnreadable: (error: VarveError) => void,
  ): AsyncGenerator<PlacedHead, void, undefined> {
    const { manifests, unreadable } = await this.#index.list(kind);
    for (const error of unreadable) onUnreadable(error);
    const placed = manifests.flatMap(({ head: listed }) => {
      if (listed === undefined) return [];
      const { key, archived, ...head } = listed;
      return passes(head) ? [{ id: key.id, archived, head }] : [];
    });
    yield* placed.sort((a, b) => compareArchived(a.archived, b.archived));
  }

  async *#fromManifests(
    kind: ManifestKind,
    onUnreadable: (error: VarveError) => void,
  ): AsyncGenerator<PlacedHead, void, undefined> {
    const placed: PlacedHead[] = [];
    const { signal } = this.#protocol.call;
    for await (const { seen, error } of walkRecords(this.#protocol, kind, signal)) {
      if (error !== undefined) onUnreadable(error);
      if (seen.record?.current === undefined) continue;
      const { key, current } = seen.record;
      placed.push({ id: key.id, archived: current.archived, head: storedHead(key, current) });
    }
    yield* placed.sort(comparePlaces);
  }
}

function passes({ application, model, since, until, held }: ListFilter) {
  return (head: StoredHead): boolean =>
    (application === undefined || head.application === application) &&
    (model === undefined || head.model === model) &&
    (since === undefined || head.createdAt >= since) &&
    (until === undefined || head.createdAt < until) &&
    (held === undefined || held === (head.hold !== undefined));
}

async function sortedByCreation(
  placed: AsyncIterable<PlacedHead>,
  order: 'oldest' | 'newest',
): Promise<PlacedHead[]> {
  const sign = order === 'newest' ? -1 : 1;
  const heads: PlacedHead[] = [];
  for await (const each of placed) heads.push(each);
  return heads.sort(
    (a, b) =>
      sign * (a.head.createdAt - b.head.createdAt) ||
      sign * compareArchived(a.archived, b.archived),
  );
}
