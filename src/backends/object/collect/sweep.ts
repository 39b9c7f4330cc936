import pLimit from 'p-limit';
import type { Address } from '../../../core/address.ts';
import { slicesOf } from '../../../core/batches.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { deleteAll } from '../../storage/delete-all.ts';
import { segmentKey } from '../format/keys.ts';
import type { Generation, Sidecar } from '../format/sidecar.ts';
import { bury, condemn } from '../tables/sidecar-changes.ts';
import type { CollectRun } from './collect-run.ts';
import type { Verdict } from './judge.ts';
import { graceOf, lookAt } from './look.ts';

/** Segments that are swept together: one request deletes the data of all. */
const WINDOW = 250;

interface CondemnedGeneration {
  readonly address: Address;
  readonly gen: Generation;
}

/**
 * Collects those of the segments that are due: condemns the generation, deletes its data, buries
 * it. Each request may be the last of a process that dies; the next collection continues from
 * there.
 */
export async function sweep(run: CollectRun, addresses: readonly Address[]): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const window of slicesOf(addresses, WINDOW)) {
    if (run.scope.isOver()) break;
    verdicts.push(...(await sweepWindow(run, window)));
  }
  run.tally.add(verdicts);
  return verdicts;
}

async function sweepWindow(run: CollectRun, addresses: readonly Address[]): Promise<Verdict[]> {
  const limit = pLimit(run.scope.concurrency);
  const verdicts = await mapAll(addresses, (address) => limit(() => condemnIfDue(run, address)));
  if (run.scope.dryRun) return verdicts;
  const condemned = verdicts.flatMap(({ address, outcome, sidecar }) =>
    outcome === 'collected' && sidecar !== undefined ? [{ address, gen: sidecar.gen }] : [],
  );
  await deleteData(run, condemned);
  await buryAll(run, condemned);
  for (const { address } of condemned) run.forget(address);
  return verdicts;
}

async function condemnIfDue(run: CollectRun, address: Address): Promise<Verdict> {
  const { store, sidecars } = run.protocol;
  const verdict = await lookAt(run, address);
  if (verdict.outcome !== 'due' || verdict.sidecar === undefined) return verdict;
  let sidecar: Sidecar | undefined = verdict.sidecar;
  if (!run.scope.dryRun && sidecar.state !== 'condemned') {
    sidecar = await sidecars.change(address, condemn(graceOf(run)));
    if (sidecar?.state !== 'condemned') return { ...verdict, outcome: 'not-garbage' };
  }
  const data = await store.head(segmentKey(address, sidecar.gen));
  return { address, outcome: 'collected', sidecar, storedBytes: data?.size ?? 0 };
}

async function deleteData(
  { protocol }: CollectRun,
  condemned: readonly CondemnedGeneration[],
): Promise<void> {
  const keys = condemned.map(({ address, gen }) => segmentKey(address, gen));
  await deleteAll(protocol.store, keys);
}

async function buryAll(
  { protocol }: CollectRun,
  condemned: readonly CondemnedGeneration[],
): Promise<void> {
  const { sidecars } = protocol;
  await mapAll(condemned, ({ address, gen }) => sidecars.change(address, bury(gen)));
}
