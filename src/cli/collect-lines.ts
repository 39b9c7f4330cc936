import type { CollectReport } from '../backends/backend.ts';
import { bytes, counted, seconds } from './human.ts';

/** What a collection did, or would do, for people: the first line tells the most. */
export function collectLines(report: CollectReport): string[] {
  const [collected, gave, deleted] = report.dryRun
    ? ['would collect', 'would give', 'would delete']
    : ['collected', 'gave', 'deleted'];
  const lines = [
    `${collected} ${counted(report.collectedSegments, 'segment')}, ${bytes(report.collectedBytes)} before compression; ` +
      `${gave} back ${bytes(report.freedBytes)} of disk; took ${seconds(report.durationMs)}`,
  ];
  if (report.expiredManifests > 0) lines.push(`${deleted} ${counted(report.expiredManifests, 'expired manifest')}`);
  if (report.waitingSegments > 0) {
    const waiting = counted(report.waitingSegments, 'unreferenced segment');
    lines.push(`${waiting}, ${bytes(report.waitingBytes)} before compression, wait for the end of the grace`);
  }
  if (report.deadBytes > 0)
    lines.push(`${bytes(report.deadBytes)} of disk hold nothing any more; --full gives them back`);
  return lines;
}
