import { abortOf, throwIfAborted } from '../../../core/abort.ts';
import { batchesOf } from '../../../core/batches.ts';
import { mapAhead } from '../../../core/concurrency.ts';
import type { Finding } from '../../contract/audit.ts';
import { ReferenceRepair } from '../commit/reference-repair.ts';
import type { ReferenceScan } from '../listing/reference-scan.ts';
import { withReferences } from '../listing/referenced-segments.ts';
import { listSegments } from '../listing/segment-listing.ts';
import { type AuditRun, OBJECTS_AHEAD } from './audit-run.ts';
import { auditSegment, type SegmentAudit } from './audit-segment.ts';
import { isCooling, isToCool } from './cool.ts';
import { untilAllReadable } from './diagnosis.ts';

/** Audits all segments that are stored, or that a manifest references. */
export async function* auditSegments(
  run: AuditRun,
  scan: ReferenceScan,
): AsyncGenerator<Finding, void, undefined> {
  const { protocol, taker, hints } = run.context;
  const { sample, signal } = run.options;
  const repair = new ReferenceRepair(protocol, taker, hints);
  const context = { protocol, hints, scan, repair };
  const isSampled = () => protocol.randomness.fraction() < sample;
  const segments = withReferences(listSegments(protocol, abortOf(signal)), scan.inOrder());
  const audits = mapAhead(segments, { count: OBJECTS_AHEAD }, ({ listed, references }) =>
    auditSegment(context, listed, references, isSampled()),
  );
  for await (const window of batchesOf(audits, { count: OBJECTS_AHEAD })) {
    throwIfAborted(signal);
    for (const audit of window) count(run, audit);
    yield* run.report(
      window.map(({ diagnoses }) =>
        run.knowsAllReferences ? diagnoses : diagnoses.map(untilAllReadable),
      ),
    );
    const unheld = window.filter(({ held }) => held === 0);
    const unhinted = await run.garbage.among(unheld, signal);
    yield* run.report(unhinted.map((diagnosis) => [diagnosis]));
    run.progress('verifying segments', run.tally.segments);
  }
}

function count(
  { tally, toCool }: AuditRun,
  { listed, held, sidecar, verifiedBytes }: SegmentAudit,
): void {
  tally.segments += listed.generations.length;
  tally.verifiedBytes += verifiedBytes;
  if (sidecar && (isToCool(sidecar, held) || isCooling(sidecar))) toCool.push(listed.address);
}
