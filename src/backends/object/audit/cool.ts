import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { HOT_REFERENCES, type Sidecar } from '../format/sidecar.ts';
import { ReferenceScan } from '../listing/reference-scan.ts';
import type { Hints } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import { release, restore } from '../tables/sidecar-changes.ts';
import type { SidecarChange } from '../tables/sidecar-table.ts';

const COOLER = 'cooler.';

/** Whether a hot segment has so few references that they can be named again. */
export function isToCool(sidecar: Sidecar, references: number): boolean {
  return sidecar.hot === true && references < HOT_REFERENCES / 2;
}

/**
 * Whether a cooler began with a segment; unless it is still at work, somebody has to finish for it.
 */
export function isCooling({ holds = [] }: Sidecar): boolean {
  return holds.some((name) => name.startsWith(COOLER));
}

/**
 * Names the references of hot segments again. First a hold, in the swap that ends the heat: from
 * then on writers name theirs, and those that did not had stored their `pending` before, where the
 * scan that follows finds it. Only when all are named, and no others, does the hold go, and a
 * collection may look at the segment again. A cooler that dies leaves its hold to a successor,
 * which replaces it and scans anew (rule `drop-only-own-holds`).
 */
export async function cool(
  protocol: Protocol,
  hints: Hints,
  addresses: readonly Address[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const name = `${COOLER}${protocol.randomness.nonce()}`;
  const begun = await mapAll(addresses, async (address) => {
    const sidecar = await protocol.sidecars.change(address, beginCooling(name));
    return sidecar?.holds?.includes(name) ? [address] : [];
  });
  const cooling = begun.flat();
  if (cooling.length === 0) return;
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
  // What a damaged manifest references is not known: then the holds stay, and nothing is lost.
  if (!isComplete) return;
  const named = cooling.map((address) => {
    const { held, announced } = scan.of(address) ?? {};
    return { address, tokens: [...(held?.keys() ?? []), ...(announced ?? [])] };
  });
  // Without a hold nothing keeps these from being garbage (rule `hint-before-change`).
  const unnamed = named.filter(({ tokens }) => tokens.length === 0).map(({ address }) => address);
  if (unnamed.length > 0) await hints.write({ segments: unnamed, manifests: [] });
  await mapAll(named, async ({ address, tokens }) => {
    const sidecar = await protocol.sidecars.change(address, restore(tokens));
    // Whoever let go while the segment was hot left its name.
    const leaked = new Set(await scan.leaked(address, sidecar?.refs ?? []));
    const since = () => protocol.serverClock.latest();
    await protocol.sidecars.change(address, (stored, refusals) =>
      dropHold(name, since)(release(leaked, since)(stored, refusals) ?? stored, refusals),
    );
  });
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
