import type {
  CollectReason,
  CollectReport,
  CollectShare,
} from '../../backends/contract/collection.ts';
import { bytes, counted, seconds } from './human.ts';

type Describe = (part: CollectShare, dryRun: boolean) => string;

/** Reasons that the lines about segments and expired manifests do not cover. */
const REASONS: Readonly<Partial<Record<CollectReason, Describe>>> = {
  'abandoned-upload': ({ count: uploads }, dryRun) =>
    `${dryRun ? 'would delete' : 'deleted'} ${counted(uploads, 'interrupted upload')}`,
  'dead-space': ({ count: packs, bytes: dead }, dryRun) =>
    `${dryRun ? 'would rewrite' : 'rewrote'} ${counted(packs, 'file')} to free ` +
    `${bytes(dead)} of dead space`,
  'small-blocks': ({ count: packs }, dryRun) =>
    `${dryRun ? 'would rewrite' : 'rewrote'} ${counted(packs, 'file')} to merge small blocks`,
};

/** Describes a collection, or a plan of one, for people; the most important line comes first. */
export function collectLines(report: CollectReport): string[] {
  const [collected, freed, deleted] = report.dryRun
    ? ['would collect', 'would free', 'would delete']
    : ['collected', 'freed', 'deleted'];
  const lines = [
    `${collected} ${counted(report.collectedSegments, 'segment')}, ` +
      `${bytes(report.collectedBytes)} before compression; ` +
      `${freed} ${bytes(report.freedBytes)} of disk; took ${seconds(report.durationMs)}`,
  ];
  if (report.expiredManifests > 0)
    lines.push(`${deleted} ${counted(report.expiredManifests, 'expired manifest')}`);
  for (const [reason, describe] of Object.entries(REASONS) as [keyof typeof REASONS, Describe][]) {
    const part = report.reasons[reason];
    if (part !== undefined) lines.push(describe(part, report.dryRun));
  }
  if (report.waitingSegments > 0) {
    const waiting = counted(report.waitingSegments, 'unreferenced segment');
    lines.push(
      `${waiting}, ${bytes(report.waitingBytes)} before compression, wait for the end of ` +
        'the grace period',
    );
  }
  if (report.deadBytes > 0) {
    lines.push(
      `${bytes(report.deadBytes)} of disk are dead space: --full frees it where it is 5 % of a ` +
        'file, --erase frees all',
    );
  }
  // An erasure reports in its remnants why it is incomplete.
  if (!report.isComplete && report.remnants === undefined)
    lines.push('stopped at the deadline: the next run continues from there');
  return lines;
}
