import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { MARKED, TO_MARK } from '../../contract/findings.ts';
import type { FoundReference } from '../commit/reference-repair.ts';
import { segmentKey } from '../format/keys.ts';
import type { Generation, Sidecar } from '../format/sidecar.ts';
import { isUsable } from '../tables/sidecar-changes.ts';
import { type Diagnosis, firstOf } from './diagnosis.ts';
import type { SegmentAuditContext, SegmentEvidence } from './segment-evidence.ts';

const MOVE = 'store the data again, counted, and point the manifests to it';

interface BrokenReference extends FoundReference {
  readonly isStored: boolean;
}

/**
 * Finds references of committed manifests on data that is missing, or that nothing protects: the
 * sidecar names another generation, or has given theirs up.
 */
export async function findBrokenReferences(
  context: SegmentAuditContext,
  evidence: SegmentEvidence,
  sidecar: Sidecar | undefined,
): Promise<Diagnosis[]> {
  const { address, generations } = evidence;
  const references = await brokenReferences(context, evidence, sidecar);
  const missing = references.filter(({ isStored }) => !isStored);
  const stray = references.filter(({ isStored }) => isStored);
  const mend = () =>
    context.repair.move(address, references, [...stray.map(({ gen }) => gen), ...generations]);
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

async function brokenReferences(
  { protocol, scan }: SegmentAuditContext,
  { address, generations, references }: SegmentEvidence,
  sidecar: Sidecar | undefined,
): Promise<BrokenReference[]> {
  const isProtected = (gen: Generation) =>
    sidecar === undefined || (sidecar.gen === gen && isUsable(sidecar));
  const broken = await mapAll(references.committed, async ([token, reference]) => {
    const { gen } = reference;
    const isListed = generations.includes(gen);
    if (isListed && isProtected(gen)) return [];
    const isStored =
      isListed || (await protocol.store.head(segmentKey(address, gen))) !== undefined;
    if (isStored && isProtected(gen)) return [];
    const isCommitted = await scan.isCommitted(address, token, reference);
    return isCommitted ? [{ token, key: reference.key, gen, isStored }] : [];
  });
  return broken.flat();
}

function about(address: Address, references: readonly FoundReference[]) {
  return {
    address,
    location: segmentKey(address, (references[0] as FoundReference).gen),
    manifests: firstOf(references),
  };
}
