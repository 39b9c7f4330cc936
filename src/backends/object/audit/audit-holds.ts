import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { MARKED, TO_MARK } from '../../contract/findings.ts';
import { segmentKey } from '../format/keys.ts';
import type { Generation, Sidecar } from '../format/sidecar.ts';
import type { FoundHold } from '../segments/hold-repair.ts';
import { isUsable } from '../tables/sidecar-changes.ts';
import { type Diagnosis, firstOf } from './diagnosis.ts';
import type { SegmentAuditContext, SegmentEvidence } from './segment-evidence.ts';

const MOVE = 'store the data again, counted, and point the manifests to it';

interface BrokenHold extends FoundHold {
  readonly isStored: boolean;
}

/**
 * Finds holds of committed manifests on data that is missing, or that nothing protects: the sidecar
 * names another generation, or has given theirs up.
 */
export async function findBrokenHolds(
  context: SegmentAuditContext,
  evidence: SegmentEvidence,
  sidecar: Sidecar | undefined,
): Promise<Diagnosis[]> {
  const { address, generations } = evidence;
  const holds = await brokenHolds(context, evidence, sidecar);
  const missing = holds.filter(({ isStored }) => !isStored);
  const stray = holds.filter(({ isStored }) => isStored);
  const mend = () =>
    context.repair.move(address, holds, [...stray.map(({ gen }) => gen), ...generations]);
  const diagnoses: Diagnosis[] = [];
  if (missing.length > 0) {
    const isElsewhere = stray.length > 0 || generations.length > 0;
    const finding = {
      kind: 'missing-data',
      message: `the data of segment ${address} is missing`,
      ...about(address, missing),
      repair: isElsewhere ? MOVE : sidecar?.damaged ? MARKED : TO_MARK,
      harmful: true,
    } as const;
    diagnoses.push({ finding, mend });
  }
  if (stray.length > 0) {
    const finding = {
      kind: 'unindexed',
      message: `the data of segment ${address} is in use, but its sidecar has given it up`,
      ...about(address, stray),
      repair: MOVE,
      harmful: false,
    } as const;
    diagnoses.push({ finding, mend });
  }
  return diagnoses;
}

async function brokenHolds(
  { protocol, scan }: SegmentAuditContext,
  { address, generations, references }: SegmentEvidence,
  sidecar: Sidecar | undefined,
): Promise<BrokenHold[]> {
  const isProtected = (gen: Generation) =>
    sidecar === undefined || (sidecar.gen === gen && isUsable(sidecar));
  const broken = await mapAll(references?.held ?? [], async ([token, { key, gen }]) => {
    const isListed = generations.includes(gen);
    if (isListed && isProtected(gen)) return [];
    const isStored =
      isListed || (await protocol.store.head(segmentKey(address, gen))) !== undefined;
    if (isStored && isProtected(gen)) return [];
    return (await scan.isHeld(address, token, gen)) ? [{ token, key, gen, isStored }] : [];
  });
  return broken.flat();
}

function about(address: Address, holds: readonly FoundHold[]) {
  return {
    address,
    location: segmentKey(address, (holds[0] as FoundHold).gen),
    manifests: firstOf(holds.map(({ key }) => key)),
  };
}
