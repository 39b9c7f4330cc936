import pLimit from 'p-limit';
import type { Address } from '../../address.ts';
import { SEGMENTS_PREFIX, segmentKey } from './keys.ts';
import { listObjects } from './listing.ts';
import { MAX_DELETE_KEYS } from './object-store.ts';
import { forEach, type Protocol } from './protocol.ts';
import { parseGeneration, type Sidecar } from './sidecar.ts';
import { bury, condemn, isCollectable } from './sidecar-changes.ts';

/** What a collection found about one segment. */
export interface Verdict {
  readonly address: Address;
  /**
   * `collected`: its data is gone (in a dry run: would be). `waiting`: nothing references it, but it is within the grace or
   * held. `referenced`: it is in use, or gone already.
   */
  readonly outcome: 'collected' | 'waiting' | 'referenced';
  /** Canonical bytes. */
  readonly length: number;
  /** Bytes of the object. */
  readonly storedBytes: number;
}

export interface SweepOptions {
  readonly graceMs: number;
  readonly dryRun: boolean;
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
  { graceMs, dryRun, concurrency }: SweepOptions,
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
        let sidecar = await sidecars.read(address);
        const length = sidecar === undefined ? 0 : parseGeneration(sidecar.gen).length;
        const verdict = { address, length, storedBytes: 0 };
        if (sidecar === undefined || sidecar.state === 'gone') return { ...verdict, outcome: 'referenced' as const };
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
  for (let start = 0; start < keys.length; start += MAX_DELETE_KEYS) {
    await store.delete(keys.slice(start, start + MAX_DELETE_KEYS));
  }
  await forEach(condemned, ({ sidecar, at }) => sidecars.change(addresses[at] as Address, bury(sidecar.gen)));
  return verdicts;
}

async function storedBytes({ store }: Protocol, address: Address, { gen }: Sidecar): Promise<number> {
  return (await store.head(segmentKey(address, gen)))?.size ?? 0;
}

/** Every address that has a sidecar, a page at a time. */
export async function* addressesWithSidecars(
  protocol: Protocol,
  signal: AbortSignal | undefined,
): AsyncGenerator<Address[], void, undefined> {
  let page: Address[] = [];
  for await (const { key } of listObjects(protocol, SEGMENTS_PREFIX, signal === undefined ? {} : { signal })) {
    if (!key.endsWith('.meta')) continue;
    page.push(key.slice(SEGMENTS_PREFIX.length, -'.meta'.length) as Address);
    if (page.length < SWEEP_WINDOW) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}
