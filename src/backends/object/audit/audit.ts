import type { AuditReport, AuditSettings, Finding } from '../../contract/audit.ts';
import { removeProbeRemains } from '../../storage/probe-remains.ts';
import { ReferenceScan } from '../listing/reference-scan.ts';
import { HeadAudit } from './audit-heads.ts';
import { auditManifests } from './audit-manifests.ts';
import { type AuditContext, AuditRun } from './audit-run.ts';
import { auditSegments } from './audit-segments.ts';
import { cool } from './cool.ts';

/**
 * Verifies an object store against its manifests, which are the truth. Its words:
 *
 * - A *scan* reads all manifests and sorts their references by segment, on disk where there are
 *   many. They are compared with the segments as these are listed, which is in the same order.
 * - A *diagnosis* is a finding and its repair. What a scan found is older than what is read later,
 *   so a diagnosis is made only after its manifests were read again.
 * - To *cool* a hot segment is to name its references in the sidecar again.
 */
export async function* auditObjects(
  context: AuditContext,
  options: AuditSettings,
): AsyncGenerator<Finding, AuditReport, undefined> {
  const { protocol, hints } = context;
  const started = protocol.clock.monotonic();
  const run = new AuditRun(context, options);
  const heads = new HeadAudit(run);
  const scan = new ReferenceScan(protocol);
  try {
    yield* auditManifests(run, scan, heads);
    yield* heads.findings();
    yield* auditSegments(run, scan);
  } finally {
    scan.close();
  }
  if (options.repair && run.knowsAllReferences)
    await cool(protocol, hints, run.toCool, options.signal);
  if (options.repair) await removeProbeRemains(protocol);
  return { ...run.tally, durationMs: protocol.clock.monotonic() - started };
}
