import pLimit from 'p-limit';
import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { isUnreadable } from '../../../core/errors.ts';
import type { Sidecar } from '../format/sidecar.ts';
import type { IsDue } from '../tables/sidecar-changes.ts';
import type { CollectRun } from './collect-run.ts';
import { judge, unreadable, type Verdict } from './judge.ts';

/** Reads the sidecars of segments and judges each. Changes nothing. */
export function look(run: CollectRun, addresses: readonly Address[]): Promise<Verdict[]> {
  const limit = pLimit(run.scope.concurrency);
  return mapAll(addresses, (address) => limit(() => lookAt(run, address)));
}

export async function lookAt(run: CollectRun, address: Address): Promise<Verdict> {
  let sidecar: Sidecar | undefined;
  try {
    sidecar = await run.protocol.sidecars.read(address);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return unreadable(address);
  }
  if (sidecar !== undefined && run.scope.dryRun)
    sidecar = run.foreseen.applyTo(address, sidecar, run.protocol.serverClock.latest());
  return judge(address, sidecar, graceOf(run));
}

/** Whether the grace of garbage is over. Without a grace no clock is asked. */
export function graceOf({ protocol, scope }: CollectRun): IsDue {
  const { graceMs } = scope;
  return (since) => graceMs === 0 || protocol.serverClock.earliest() - since >= graceMs;
}
