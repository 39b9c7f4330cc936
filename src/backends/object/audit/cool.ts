import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { HOT_REFERENCES, type Sidecar, type Token } from '../format/sidecar.ts';
import { nothingOf, ReferenceScan, type SegmentReferences } from '../listing/reference-scan.ts';
import type { Hints } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import { drop, restore } from '../tables/sidecar-changes.ts';
import type { SidecarChange } from '../tables/sidecar-table.ts';

const COOLER = 'cooler.';

/** Whether a hot segment has few enough references to name them again. */
export function isToCool(sidecar: Sidecar, references: number): boolean {
  return sidecar.hot === true && references < HOT_REFERENCES / 2;
}

/** Whether a cooler has begun with a segment. If that cooler is dead, another has to finish. */
export function isCooling({ guards = [] }: Sidecar): boolean {
  return guards.some((name) => name.startsWith(COOLER));
}

/**
 * Names the references of hot segments again. The order matters:
 *
 * 1. One swap places a guard and ends the heat. From then on writers name their references. Those
 *    that did not had stored their `pending` before, where the scan finds it.
 * 2. A scan of all manifests finds the references.
 * 3. A hint names the segments that nothing references: without a guard nothing keeps them from
 *    being garbage (rule `hint-before-change`).
 * 4. The sidecar names these references, and no others.
 * 5. The guard goes, and a collection may take the segment again.
 *
 * A cooler that dies leaves its guard. A successor replaces it and scans again (rule
 * `remove-only-own-guards`).
 */
export async function cool(
  protocol: Protocol,
  hints: Hints,
  addresses: readonly Address[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const name = `${COOLER}${protocol.randomness.nonce()}`;
  const cooling = await placeGuards(protocol, addresses, name);
  if (cooling.length === 0) return;
  const scan = new ReferenceScan(protocol, { only: new Set(cooling) });
  try {
    // Nobody knows what an unreadable manifest references, so the guards stay, and nothing is lost.
    if (!(await readsAll(scan, signal))) return;
    const found = new Map([...scan.inOrder()].map((each) => [each.address, each]));
    const segments = cooling.map((address) => found.get(address) ?? nothingOf(address));
    await hintUnreferenced(hints, segments);
    await mapAll(segments, async (references) => {
      const leaked = await nameReferences(protocol, scan, references);
      await endCooling(protocol, references.address, name, leaked);
    });
  } finally {
    scan.close();
  }
}

/** Returns the segments that have the guard now. */
async function placeGuards(
  { sidecars }: Protocol,
  addresses: readonly Address[],
  name: string,
): Promise<Address[]> {
  const begun = await mapAll(addresses, async (address) => {
    const sidecar = await sidecars.change(address, beginCooling(name));
    return sidecar?.guards?.includes(name) ? [address] : [];
  });
  return begun.flat();
}

/** Returns whether every manifest can be read. */
async function readsAll(scan: ReferenceScan, signal: AbortSignal | undefined): Promise<boolean> {
  let isComplete = true;
  const onUnreadable = () => {
    isComplete = false;
  };
  await scan.run({ onUnreadable }, signal);
  return isComplete;
}

async function hintUnreferenced(
  hints: Hints,
  segments: readonly SegmentReferences[],
): Promise<void> {
  const unreferenced = segments.filter((each) => tokensOf(each).length === 0);
  if (unreferenced.length === 0) return;
  await hints.write({ segments: unreferenced.map(({ address }) => address), manifests: [] });
}

/**
 * Returns the names to drop: a reference that was dropped while the segment was hot left its name.
 */
async function nameReferences(
  { sidecars }: Protocol,
  scan: ReferenceScan,
  references: SegmentReferences,
): Promise<ReadonlySet<Token>> {
  const tokens = tokensOf(references);
  const sidecar = await sidecars.change(references.address, restore(tokens));
  return new Set(await scan.leaked(references, sidecar?.refs ?? []));
}

async function endCooling(
  { sidecars, serverClock }: Protocol,
  address: Address,
  name: string,
  leaked: ReadonlySet<Token>,
): Promise<void> {
  const since = () => serverClock.latest();
  await sidecars.change(address, (stored, refusals) =>
    removeGuard(name, since)(drop(leaked, since)(stored, refusals) ?? stored, refusals),
  );
}

function tokensOf({ committed, announced }: SegmentReferences): Token[] {
  return [...committed.keys(), ...announced];
}

function beginCooling(name: string): SidecarChange {
  return (sidecar) => {
    if (sidecar === undefined || sidecar.guards?.includes(name)) return undefined;
    if (!sidecar.hot && !sidecar.guards?.some((each) => each.startsWith(COOLER))) return undefined;
    const { hot: _, ...rest } = sidecar;
    const others = (sidecar.guards ?? []).filter((each) => !each.startsWith(COOLER));
    return { ...rest, guards: [...others, name] };
  };
}

/** A cooler removes only its own guard (rule `remove-only-own-guards`). */
function removeGuard(name: string, since: () => number): SidecarChange {
  return (sidecar) => {
    if (!sidecar?.guards?.includes(name)) return undefined;
    const guards = sidecar.guards.filter((each) => each !== name);
    return {
      ...sidecar,
      guards,
      ...(sidecar.refs.length === 0 && { since: sidecar.since ?? since() }),
    };
  };
}
