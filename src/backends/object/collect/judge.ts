import type { Address } from '../../../core/address.ts';
import type { Sidecar } from '../format/sidecar.ts';
import { type IsDue, isCollectable } from '../tables/sidecar-changes.ts';

/** What a collection decides about one segment, or has done with it. */
export interface Verdict {
  readonly address: Address;
  /**
   * - `due`: nothing references it and the grace is over, or a collection has condemned it already.
   * - `collected`: its data is gone; in a dry run, a run would have deleted it.
   * - `waiting`: nothing references it, but it is within the grace, or held.
   * - `not-garbage`: a manifest may reference it, or it is gone already.
   * - `unreadable`: nothing is known of it, because its sidecar cannot be read.
   */
  readonly outcome: 'due' | 'collected' | 'waiting' | 'not-garbage' | 'unreadable';
  /** `undefined` when there is none, or it cannot be read. */
  readonly sidecar: Sidecar | undefined;
  /** Bytes of the data object; 0 unless it is collected. */
  readonly storedBytes: number;
}

/** Decides about a segment by its sidecar alone. */
export function judge(address: Address, sidecar: Sidecar | undefined, isDue: IsDue): Verdict {
  return { address, outcome: outcomeOf(sidecar, isDue), sidecar, storedBytes: 0 };
}

/** The verdict on a segment whose sidecar cannot be read. */
export function unreadable(address: Address): Verdict {
  return { address, outcome: 'unreadable', sidecar: undefined, storedBytes: 0 };
}

function outcomeOf(sidecar: Sidecar | undefined, isDue: IsDue): Verdict['outcome'] {
  if (sidecar === undefined || sidecar.state === 'gone') return 'not-garbage';
  if (sidecar.state === 'condemned') return 'due';
  if (sidecar.refs.length > 0 || sidecar.hot) return 'not-garbage';
  return isCollectable(sidecar) && isDue(sidecar.since ?? 0) ? 'due' : 'waiting';
}
