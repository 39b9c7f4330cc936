import pLimit from 'p-limit';
import type { Address } from '../../address.ts';
import { isUnreadable } from '../../errors.ts';
import { deleteAll } from './delete-all.ts';
import type { ForeseenReleases } from './foreseen-releases.ts';
import { segmentKey } from './keys.ts';
import { forEach, type Protocol } from './protocol.ts';
import { parseGeneration, type Sidecar } from './sidecar.ts';
import { bury, condemn, isCollectable } from './sidecar-changes.ts';

/** What a collection found about one segment. */
export interface Verdict {
  readonly address: Address;
  /**
   * `collected`: its data is gone (in a dry run: would be). `waiting`: nothing references it, but it is within the grace or
   * held. `referenced`: it is in use, or gone already. `unreadable`: its sidecar is damaged, so nothing is known of it.
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

/** So many segments are condemned, deleted and buried together: one request deletes the data of all. */
const SWEEP_WINDOW = 250;

/**
 * Collects those of the segments that nothing references: condemns the generation, deletes its data, buries it. Each step may be
 * the last of a process that dies; the next collection goes on from there.
 */
export async function sweep(
  protocol: Protocol,
  addresses: readonly Address[],
  options: SweepOptions,
): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (let start = 0; start < addresses.length; start += SWEEP_WINDOW) {
    if (options.isOver()) break;
    verdicts.push(...(await sweepWindow(protocol, addresses.slice(start, start + SWEEP_WINDOW), options)));
  }
  return verdicts;
}

async function sweepWindow(
  protocol: Protocol,
  addresses: readonly Address[],
  { graceMs, dryRun, foreseen, concurrency }: SweepOptions,
): Promise<Verdict[]> {
  const { sidecars, serverClock, store } = protocol;
  // Without a grace no clock is asked.
  const isDue = (since: number) => graceMs === 0 || serverClock.earliest() - since >= graceMs;
  const condemned: { sidecar: Sidecar; at: number }[] = [];
  const limit = pLimit(concurrency);
  const verdicts = await forEach(
    addresses.map((address, at) => ({ address, at })),
    ({ address, at }) =>
      limit(async () => {
        const nothing = { address, length: 0, storedBytes: 0 };
        let sidecar: Sidecar | undefined;
        try {
          sidecar = await sidecars.read(address);
        } catch (error) {
          if (!isUnreadable(error)) throw error;
          return { ...nothing, outcome: 'unreadable' as const };
        }
        if (sidecar === undefined || sidecar.state === 'gone') return { ...nothing, outcome: 'referenced' as const };
        if (dryRun) sidecar = foreseen.applyTo(address, sidecar, serverClock.latest());
        const { length } = parseGeneration(sidecar.gen);
        const verdict = { address, length, storedBytes: 0 };
        if (sidecar.state !== 'condemned') {
          const isUnused = sidecar.refs.length === 0 && !sidecar.hot;
          if (!isUnused) return { ...verdict, outcome: 'referenced' as const };
          if (!isCollectable(sidecar) || !isDue(sidecar.since ?? 0)) return { ...verdict, outcome: 'waiting' as const };
          if (!dryRun) sidecar = await sidecars.change(address, condemn(isDue));
          if (!dryRun && sidecar?.state !== 'condemned') return { ...verdict, outcome: 'referenced' as const };
        }
        condemned.push({ sidecar: sidecar as Sidecar, at });
        return {
          ...verdict,
          outcome: 'collected' as const,
          storedBytes: await storedBytes(protocol, address, sidecar as Sidecar),
        };
      }),
  );
  if (dryRun || condemned.length === 0) return verdicts;
  const keys = condemned.map(({ sidecar, at }) => segmentKey(addresses[at] as Address, sidecar.gen));
  await deleteAll(store, keys);
  await forEach(condemned, ({ sidecar, at }) => sidecars.change(addresses[at] as Address, bury(sidecar.gen)));
  return verdicts;
}

async function storedBytes({ store }: Protocol, address: Address, { gen }: Sidecar): Promise<number> {
  return (await store.head(segmentKey(address, gen)))?.size ?? 0;
}
