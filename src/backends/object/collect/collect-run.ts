import type { Address } from '../../../core/address.ts';
import type { CollectSettings, Remnant } from '../../contract/collection.ts';
import type { DeleteWrite, WriteOutcome } from '../../contract/manifests.ts';
import type { HeadIndex } from '../heads/head-index.ts';
import type { ManifestLists } from '../heads/manifest-lists.ts';
import type { ListIndex } from '../listing/list-index.ts';
import type { SegmentTaker } from '../segments/segment-taker.ts';
import type { Hints } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import { CollectScope } from './collect-scope.ts';
import { CollectTally } from './collect-tally.ts';
import { ForeseenDrops } from './foreseen-drops.ts';
import { HintsAtOnce } from './hints-at-once.ts';

/** The parts of an open store that a collection uses. */
export interface CollectContext {
  readonly protocol: Protocol;
  readonly taker: SegmentTaker;
  readonly hints: Hints;
  readonly index: ListIndex;
  readonly heads: HeadIndex;
  readonly lists: ManifestLists;
  /** Called with each collected segment: no cache may keep it. */
  readonly forget: (address: Address) => void;
  readonly remove: (writes: readonly DeleteWrite[]) => Promise<WriteOutcome[]>;
}

/** What the steps of one collection share. */
export interface CollectRun extends CollectContext {
  readonly scope: CollectScope;
  readonly tally: CollectTally;
  /** In a dry run: the references that a run would have dropped by now. */
  readonly foreseen: ForeseenDrops;
  /** The hints to follow. */
  readonly hinted: HintsAtOnce;
  remnants: readonly Remnant[];
}

/** Begins a collection: from here on its deadline counts. */
export function startRun(context: CollectContext, options: CollectSettings): CollectRun {
  const scope = new CollectScope(options, context.protocol.clock);
  return {
    ...context,
    scope,
    hinted: new HintsAtOnce(context.protocol, scope.signal),
    tally: new CollectTally(),
    foreseen: new ForeseenDrops(),
    remnants: [],
  };
}
