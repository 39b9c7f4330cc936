import pLimit from 'p-limit';
import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { isUnreadable } from '../../../core/errors.ts';
import { deleteAll } from '../../storage/delete-all.ts';
import { segmentKey } from '../format/keys.ts';
import { type Generation, parseGeneration, type Sidecar } from '../format/sidecar.ts';
import type { Protocol } from '../tables/protocol.ts';
import { bury, condemn, type IsDue, isCollectable } from '../tables/sidecar-changes.ts';
import type { ForeseenReleases } from './foreseen-releases.ts';

/** What a collection found about one segment. */
export interface Verdict {
  readonly address: Address;
  /**
   * `collected`: its data is gone (in a dry run: would be). `waiting`: nothing references it, but
   * it is within the grace or held. `referenced`: it is in use, or gone already. `unreadable`: its
   * sidecar is damaged, so nothing is known of it.
   */
  readonly outcome: 'collected' | 'waiting' | 'referenced' | 'unreadable';
  /** Canonical bytes. */
  readonly length: number;
  /** Bytes of the object. */
  readonly storedBytes: number;
}

export interface SweepOptions {
  readonly graceMs: number;
  readonly dryRun: boolean;
  /** In a dry run: what a run would have let go of before. */
  readonly foreseen: ForeseenReleases;
  /** Segments at work on at once. */
  readonly concurrency: number;
  /** Whether no further window may begin. */
  readonly isOver: () => boolean;
}

/**
 * So many segments are condemned, deleted and buried together: one request deletes the data of all.
 */
const SWEEP_WINDOW = 250;

/** What is found about a segment without changing anything; `isDue`: a collection may take it. */
export interface Look {
  readonly verdict: Verdict;
  readonly sidecar: Sidecar | undefined;
  readonly isDue: boolean;
}

/** Looks at segments, so many at once as the options say. */
export function look(
  protocol: Protocol,
  addresses: readonly Address[],
  options: SweepOptions,
): Promise<Look[]> {
  const limit = pLimit(options.concurrency);
  return mapAll(addresses, (address) => limit(() => lookAt(protocol, address, options)));
}

async function lookAt(
  { sidecars, serverClock }: Protocol,
  address: Address,
  { graceMs, dryRun, foreseen }: SweepOptions,
): Promise<Look> {
  const nothing = { address, length: 0, storedBytes: 0 };
  const found = (outcome: Verdict['outcome'], sidecar?: Sidecar): Look => {
    const length = sidecar === undefined ? 0 : parseGeneration(sidecar.gen).length;
    return { verdict: { ...nothing, length, outcome }, sidecar, isDue: outcome === 'collected' };
  };
  let sidecar: Sidecar | undefined;
  try {
    sidecar = await sidecars.read(address);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return found('unreadable');
  }
  if (sidecar === undefined || sidecar.state === 'gone') return found('referenced');
  if (dryRun) sidecar = foreseen.applyTo(address, sidecar, serverClock.latest());
  if (sidecar.state === 'condemned') return found('collected', sidecar);
  if (sidecar.refs.length > 0 || sidecar.hot) return found('referenced', sidecar);
  const isDue = isCollectable(sidecar) && dueAfter(graceMs, serverClock)(sidecar.since ?? 0);
  return found(isDue ? 'collected' : 'waiting', sidecar);
}

/** Without a grace no clock is asked. */
function dueAfter(graceMs: number, serverClock: Protocol['serverClock']): IsDue {
  return (since) => graceMs === 0 || serverClock.earliest() - since >= graceMs;
}

/**
 * Collects those of the segments that nothing references: condemns the generation, deletes its
 * data, buries it. Each step may be the last of a process that dies; the next collection goes on
 * from there.
 */
export async function sweep(
  protocol: Protocol,
  addresses: readonly Address[],
  options: SweepOptions,
): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (let start = 0; start < addresses.length; start += SWEEP_WINDOW) {
    if (options.isOver()) break;
    verdicts.push(
      ...(await sweepWindow(protocol, addresses.slice(start, start + SWEEP_WINDOW), options)),
    );
  }
  return verdicts;
}

async function sweepWindow(
  protocol: Protocol,
  addresses: readonly Address[],
  options: SweepOptions,
): Promise<Verdict[]> {
  const { graceMs, dryRun, concurrency } = options;
  const { sidecars, serverClock, store } = protocol;
  const condemned: { address: Address; gen: Generation }[] = [];
  const limit = pLimit(concurrency);
  const verdicts = await mapAll(addresses, (address) =>
    limit(async (): Promise<Verdict> => {
      const { verdict, sidecar: seen, isDue } = await lookAt(protocol, address, options);
      if (!isDue || seen === undefined) return verdict;
      let sidecar: Sidecar | undefined = seen;
      if (!dryRun && seen.state !== 'condemned') {
        sidecar = await sidecars.change(address, condemn(dueAfter(graceMs, serverClock)));
        if (sidecar?.state !== 'condemned') return { ...verdict, outcome: 'referenced' };
      }
      condemned.push({ address, gen: sidecar.gen });
      return {
        ...verdict,
        storedBytes: (await store.head(segmentKey(address, sidecar.gen)))?.size ?? 0,
      };
    }),
  );
  if (dryRun || condemned.length === 0) return verdicts;
  await deleteAll(
    store,
    condemned.map(({ address, gen }) => segmentKey(address, gen)),
  );
  await mapAll(condemned, ({ address, gen }) => sidecars.change(address, bury(gen)));
  return verdicts;
}
