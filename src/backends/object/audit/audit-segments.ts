import { abortOf, throwIfAborted } from '../../../core/abort.ts';
import { batchesOf } from '../../../core/batches.ts';
import { mapAhead } from '../../../core/concurrency.ts';
import type { Finding } from '../../contract/audit.ts';
import type { ReferenceScan } from '../listing/reference-scan.ts';
import { type ListedSegment, listSegments } from '../listing/segment-listing.ts';
import { ReferenceRepair } from '../segments/reference-repair.ts';
import type { Protocol } from '../tables/protocol.ts';
import { type AuditRun, OBJECTS_AHEAD } from './audit-run.ts';
import { auditSegment, type SegmentAudit } from './audit-segment.ts';
import { isCooling, isToCool } from './cool.ts';
import { untilAllReadable } from './diagnosis.ts';

/** Audits the segments within the bounds of a scan. */
export async function* auditSegments(
  run: AuditRun,
  scan: ReferenceScan,
  from: string,
): AsyncGenerator<Finding, void, undefined> {
  const { protocol, taker, hints } = run.context;
  const { sample, signal } = run.options;
  const repair = new ReferenceRepair(protocol, taker, hints);
  const context = { protocol, hints, scan, repair };
  const isSampled = () => protocol.randomness.fraction() < sample;
  const segments = listedAndLost(protocol, scan, from, signal);
  const audits = mapAhead(segments, { count: OBJECTS_AHEAD }, (listed) =>
    auditSegment(context, listed, isSampled()),
  );
  for await (const window of batchesOf(audits, { count: OBJECTS_AHEAD })) {
    throwIfAborted(signal);
    for (const audit of window) count(run, scan, audit);
    yield* run.report(
      window.map(({ diagnoses }) =>
        run.knowsAllReferences ? diagnoses : diagnoses.map(untilAllReadable),
      ),
    );
    const unheld = window.filter(({ listed }) => heldTimes(scan, listed) === 0);
    const unhinted = await run.garbage.among(unheld, signal);
    yield* run.report(unhinted.map((diagnosis) => [diagnosis]));
    run.progress('verifying segments', run.tally.segments);
  }
}

function count(
  { tally, toCool }: AuditRun,
  scan: ReferenceScan,
  { listed, sidecar, verifiedBytes }: SegmentAudit,
): void {
  tally.segments += listed.generations.length;
  tally.verifiedBytes += verifiedBytes;
  if (sidecar && (isToCool(sidecar, heldTimes(scan, listed)) || isCooling(sidecar)))
    toCool.push(listed.address);
}

/** How many committed manifests reference a segment. */
function heldTimes(scan: ReferenceScan, { address }: ListedSegment): number {
  return scan.of(address)?.committed.size ?? 0;
}

/**
 * What is listed below `segments/` within a scan's bounds, by segment, and referenced segments that
 * are not listed at all.
 */
async function* listedAndLost(
  protocol: Protocol,
  scan: ReferenceScan,
  from: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListedSegment, void, undefined> {
  const unlisted = new Set(scan.referenced());
  const bounds = { from, until: scan.until, ...abortOf(signal) };
  for await (const listed of listSegments(protocol, bounds)) {
    unlisted.delete(listed.address);
    yield listed;
  }
  for (const address of unlisted) yield { address, hasSidecar: false, generations: [] };
}
