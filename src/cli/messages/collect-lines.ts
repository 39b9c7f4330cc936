import type {
  CollectReason,
  CollectReport,
  CollectShare,
} from '../../backends/contract/maintenance.ts';
import { bytes, counted, seconds } from './human.ts';

type Tell = (part: CollectShare, dryRun: boolean) => string;

/** What the lines about segments and expired manifests do not tell. */
const REASONS: Readonly<Partial<Record<CollectReason, Tell>>> = {
  'abandoned-upload': ({ count: uploads }, dryRun) =>
    `${dryRun ? 'would delete' : 'deleted'} ${counted(uploads, 'upload')} that had been cut off`,
  'dead-space': ({ count: packs, bytes: dead }, dryRun) =>
    `${dryRun ? 'would rewrite' : 'rewrote'} ${counted(packs, 'file')} for the ` +
    `${bytes(dead)} in them that hold nothing any more`,
  'small-blocks': ({ count: packs }, dryRun) =>
    `${dryRun ? 'would rewrite' : 'rewrote'} ${counted(packs, 'file')} to merge small blocks`,
};

/** What a collection did, or would do, for people: the first line tells the most. */
export function collectLines(report: CollectReport): string[] {
  const [collected, gave, deleted] = report.dryRun
    ? ['would collect', 'would give', 'would delete']
    : ['collected', 'gave', 'deleted'];
  const lines = [
    `${collected} ${counted(report.collectedSegments, 'segment')}, ` +
      `${bytes(report.collectedBytes)} before compression; ` +
      `${gave} back ${bytes(report.freedBytes)} of disk; took ${seconds(report.durationMs)}`,
  ];
  if (report.expiredManifests > 0)
    lines.push(`${deleted} ${counted(report.expiredManifests, 'expired manifest')}`);
  for (const [reason, tell] of Object.entries(REASONS) as [keyof typeof REASONS, Tell][]) {
    const part = report.reasons[reason];
    if (part !== undefined) lines.push(tell(part, report.dryRun));
  }
  if (report.waitingSegments > 0) {
    const waiting = counted(report.waitingSegments, 'unreferenced segment');
    lines.push(
      `${waiting}, ${bytes(report.waitingBytes)} before compression, wait for the end of the grace`,
    );
  }
  if (report.deadBytes > 0)
    lines.push(`${bytes(report.deadBytes)} of disk hold nothing any more; --full gives them back`);
  // What an erasure left tells its own reason.
  if (!report.isComplete && report.remnants === undefined)
    lines.push('stopped at the deadline: the next run goes on from there');
  return lines;
}
