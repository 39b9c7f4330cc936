import { isVarveError, type VarveError } from '../../../core/errors.ts';
import { MARKED, TO_MARK } from '../../contract/findings.ts';
import { segmentKey } from '../format/keys.ts';
import { decodeSegment } from '../format/segment-data.ts';
import { parseGeneration } from '../format/sidecar.ts';
import { isUsable, markDamaged } from '../tables/sidecar-changes.ts';
import { type Diagnosis, referrersOf } from './diagnosis.ts';
import type { SegmentAuditContext, SidecarEvidence } from './segment-evidence.ts';

interface Verification {
  /** Canonical bytes that were re-hashed, if they are whole. */
  readonly verifiedBytes: number;
  readonly damage: readonly Diagnosis[];
}

/** Reads the data that the sidecar leads to, and hashes it, if the segment is in the sample. */
export async function verifyData(
  context: SegmentAuditContext,
  evidence: SidecarEvidence,
  isSampled: boolean,
): Promise<Verification> {
  const { address, generations, sidecar } = evidence;
  const { gen } = sidecar;
  const verifiedBytes = parseGeneration(gen).length;
  if (!isUsable(sidecar) || !generations.includes(gen) || !isSampled)
    return { verifiedBytes: 0, damage: [] };
  const object = await context.protocol.store.get(segmentKey(address, gen));
  // When it is gone, it was collected since it was listed.
  if (object === undefined) return { verifiedBytes, damage: [] };
  try {
    decodeSegment(object.body, address, gen);
    return { verifiedBytes, damage: [] };
  } catch (error) {
    if (!isVarveError(error)) throw error;
    return { verifiedBytes: 0, damage: [corruptData(context, evidence, error)] };
  }
}

function corruptData(
  { protocol, hints }: SegmentAuditContext,
  { address, references, sidecar }: SidecarEvidence,
  { code, message }: VarveError,
): Diagnosis {
  const { gen, damaged } = sidecar;
  const manifests = referrersOf(references);
  // Data that a newer version wrote is not damaged, and nothing may take its place.
  const isNewer = code === 'UNSUPPORTED_FORMAT';
  // A mark is not a repair: the next put of the same bytes is.
  const mark = async () => {
    await hints.announceDamage(address);
    await protocol.sidecars.change(address, markDamaged(gen));
    return false;
  };
  return {
    finding: {
      kind: 'corrupt-data',
      message: `the data of segment ${address} cannot be read: ${message}`,
      address,
      location: segmentKey(address, gen),
      manifests,
      repair: isNewer ? 'none' : damaged ? MARKED : TO_MARK,
      harmful: manifests.length > 0,
    },
    mend: isNewer ? undefined : mark,
  };
}
