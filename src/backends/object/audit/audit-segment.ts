import { isUnreadable } from '../../../core/errors.ts';
import type { Sidecar } from '../format/sidecar.ts';
import type { SegmentReferences } from '../listing/reference-scan.ts';
import type { ListedSegment } from '../listing/segment-listing.ts';
import { findWrongCounts } from './audit-counts.ts';
import { verifyData } from './audit-data.ts';
import { findBrokenReferences } from './audit-references.ts';
import { findDataWithoutSidecar, findDeadGenerations, unreadableSidecar } from './audit-sidecar.ts';
import type { Diagnosis } from './diagnosis.ts';
import type { SegmentAuditContext } from './segment-evidence.ts';

/** What an audit found out about one segment. */
export interface SegmentAudit {
  readonly listed: ListedSegment;
  /** How many committed manifests reference it. */
  readonly held: number;
  readonly sidecar: Sidecar | undefined;
  readonly diagnoses: readonly Diagnosis[];
  /** Canonical bytes that were read and re-hashed. */
  readonly verifiedBytes: number;
}

/** Compares a segment's data and sidecar with what the manifests say. */
export async function auditSegment(
  context: SegmentAuditContext,
  listed: ListedSegment,
  references: SegmentReferences,
  isSampled: boolean,
): Promise<SegmentAudit> {
  const { address, generations } = listed;
  const evidence = { address, generations, references };
  const held = references.committed.size;
  const unverified = { listed, held, sidecar: undefined, verifiedBytes: 0 };
  let sidecar: Sidecar | undefined;
  try {
    sidecar = await context.protocol.sidecars.read(address);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return { ...unverified, diagnoses: [unreadableSidecar(context, evidence, error)] };
  }
  if (sidecar === undefined) {
    const diagnoses = [
      ...(await findBrokenReferences(context, evidence, undefined)),
      ...findDataWithoutSidecar(context, evidence),
    ];
    return { ...unverified, diagnoses };
  }
  const known = { ...evidence, sidecar };
  const diagnoses = [
    ...(await findBrokenReferences(context, evidence, sidecar)),
    ...(await findWrongCounts(context, known)),
    ...findDeadGenerations(context, known),
  ];
  const { verifiedBytes, damage } = await verifyData(context, known, isSampled);
  return { listed, held, sidecar, diagnoses: [...diagnoses, ...damage], verifiedBytes };
}
