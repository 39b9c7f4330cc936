import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { HOT_REFERENCES, type Sidecar, type Token } from '../format/sidecar.ts';
import { ReferenceScan } from '../listing/reference-scan.ts';
import type { Hints } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import { release, restore } from '../tables/sidecar-changes.ts';
import type { SidecarChange } from '../tables/sidecar-table.ts';

const COOLER = 'cooler.';

/** Whether a hot segment has few enough references to name them again. */
export function isToCool(sidecar: Sidecar, references: number): boolean {
  return sidecar.hot === true && references < HOT_REFERENCES / 2;
}

/** Whether a cooler has begun with a segment. If that cooler is dead, another has to finish. */
export function isCooling({ holds = [] }: Sidecar): boolean {
  return holds.some((name) => name.startsWith(COOLER));
}

/**
 * Names the references of hot segments again. The order matters:
 *
 * 1. One swap places a hold and ends the heat. From then on writers name their references. Those
 *    that did not had stored their `pending` before, where the scan finds it.
 * 2. A scan of all manifests finds the references.
 * 3. A hint names the segments that nothing references: without a hold nothing keeps them from
 *    being garbage (rule `hint-before-change`).
 * 4. The sidecar names these references, and no others.
 * 5. The hold goes, and a collection may take the segment again.
 *
 * A cooler that dies leaves its hold. A successor replaces it and scans again (rule
 * `drop-only-own-holds`).
 */
export async function cool(
  protocol: Protocol,
  hints: Hints,
  addresses: readonly Address[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const name = `${COOLER}${protocol.randomness.nonce()}`;
  const cooling = await placeHolds(protocol, addresses, name);
  if (cooling.length === 0) return;
  const scan = await scanReferences(protocol, cooling, signal);
  // Nobody knows what an unreadable manifest references, so the holds stay, and nothing is lost.
  if (scan === undefined) return;
  await hintUnreferenced(hints, scan, cooling);
  await mapAll(cooling, async (address) => {
    const leaked = await nameReferences(protocol, scan, address);
    await endCooling(protocol, address, name, leaked);
  });
}

/** Returns the segments that have the hold now. */
async function placeHolds(
  { sidecars }: Protocol,
  addresses: readonly Address[],
  name: string,
): Promise<Address[]> {
  const begun = await mapAll(addresses, async (address) => {
    const sidecar = await sidecars.change(address, beginCooling(name));
    return sidecar?.holds?.includes(name) ? [address] : [];
  });
  return begun.flat();
}

/** Returns `undefined` when a manifest cannot be read. */
async function scanReferences(
  protocol: Protocol,
  cooling: readonly Address[],
  signal: AbortSignal | undefined,
): Promise<ReferenceScan | undefined> {
  const scan = new ReferenceScan(protocol, {
    only: new Set(cooling),
    most: Number.POSITIVE_INFINITY,
  });
  let isComplete = true;
  await scan.run(
    () => {},
    () => {
      isComplete = false;
    },
    signal,
  );
  return isComplete ? scan : undefined;
}

async function hintUnreferenced(
  hints: Hints,
  scan: ReferenceScan,
  cooling: readonly Address[],
): Promise<void> {
  const segments = cooling.filter((address) => tokensOf(scan, address).length === 0);
  if (segments.length > 0) await hints.write({ segments, manifests: [] });
}

/** Returns the names to drop: a release while the segment was hot left its name in the sidecar. */
async function nameReferences(
  { sidecars }: Protocol,
  scan: ReferenceScan,
  address: Address,
): Promise<ReadonlySet<Token>> {
  const tokens = tokensOf(scan, address);
  const sidecar = await sidecars.change(address, restore(tokens));
  return new Set(await scan.leaked(address, sidecar?.refs ?? []));
}

async function endCooling(
  { sidecars, serverClock }: Protocol,
  address: Address,
  name: string,
  leaked: ReadonlySet<Token>,
): Promise<void> {
  const since = () => serverClock.latest();
  await sidecars.change(address, (stored, refusals) =>
    dropHold(name, since)(release(leaked, since)(stored, refusals) ?? stored, refusals),
  );
}

function tokensOf(scan: ReferenceScan, address: Address): Token[] {
  const { held, announced } = scan.of(address) ?? {};
  return [...(held?.keys() ?? []), ...(announced ?? [])];
}

function beginCooling(name: string): SidecarChange {
  return (sidecar) => {
    if (sidecar === undefined || sidecar.holds?.includes(name)) return undefined;
    if (!sidecar.hot && !sidecar.holds?.some((each) => each.startsWith(COOLER))) return undefined;
    const { hot: _, ...rest } = sidecar;
    const others = (sidecar.holds ?? []).filter((each) => !each.startsWith(COOLER));
    return { ...rest, holds: [...others, name] };
  };
}

/** A cooler drops only its own hold (rule `drop-only-own-holds`). */
function dropHold(name: string, since: () => number): SidecarChange {
  return (sidecar) => {
    if (!sidecar?.holds?.includes(name)) return undefined;
    const holds = sidecar.holds.filter((each) => each !== name);
    return {
      ...sidecar,
      holds,
      ...(sidecar.refs.length === 0 && { since: sidecar.since ?? since() }),
    };
  };
}
