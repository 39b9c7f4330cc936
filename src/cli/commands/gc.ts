import { Option } from 'commander';
import type { CollectReason, CollectReport, CollectShard, CollectShare } from '../../backends/backend.ts';
import type { AddCommand } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { bytes, counted, seconds } from '../human.ts';
import { count, duration, shard } from '../option-values.ts';
import { remnantLines } from '../remnants.ts';

interface Options {
  readonly dryRun?: boolean;
  readonly grace: number;
  readonly full?: boolean;
  readonly shard?: CollectShard;
  readonly deadline?: number;
  readonly concurrency?: number;
  readonly erase?: boolean;
}

const DAY_MS = 24 * 60 * 60 * 1000;

export const addGc: AddCommand = (program, run) => {
  const command = program
    .command('gc')
    .description('Delete what has expired and collect what nothing references. Safe beside readers and writers.')
    .option('-n, --dry-run', 'say what would be done, do nothing')
    .addOption(
      new Option('--grace <duration>', 'keep what lost its last reference less long ago, such as 24h or 0')
        .argParser(duration)
        .default(DAY_MS, '24h'),
    )
    .option('--full', 'give back all space that can be given back, at the cost of rewriting more')
    .option('--erase', 'end only when no byte of deleted content is left in the store; ignores the grace')
    .option('--shard <i/n>', 'do this share of the work, from 0/n to n-1/n', shard)
    .option('--deadline <duration>', 'begin no further step after this long, such as 10m', duration)
    .option('--concurrency <n>', 'requests under way at once, where the store is reached by requests', count);
  command.action(({ dryRun = false, grace: graceMs, full = false, deadline, ...limits }: Options) =>
    run(command, async (session) => {
      const store = await session.open(dryRun ? 'read' : 'change');
      const progress = await session.progress('collecting', 'items');
      const options = {
        graceMs,
        full,
        dryRun,
        ...limits,
        ...(deadline !== undefined && { deadlineMs: deadline }),
        signal: session.signal,
        onProgress: ({ phase, done, total }: { phase: string; done: number; total: number }) =>
          progress.update(done, total, phase),
      };
      const report = await store.backend.collect(options);
      progress.stop();
      await session.report(report, [...linesOf(report), ...remnantLines(report)]);
      if (report.remnants !== undefined && report.remnants.length > 0) session.exitCode = EXIT.partial;
    }),
  );
};

type Tell = (part: CollectShare, dryRun: boolean) => string;

/** What the lines about segments and expired manifests do not tell. */
const REASONS: Readonly<Partial<Record<CollectReason, Tell>>> = {
  'abandoned-upload': ({ count: uploads }, dryRun) =>
    `${dryRun ? 'would delete' : 'deleted'} ${counted(uploads, 'upload')} that had been cut off`,
  'dead-space': ({ count: packs, bytes: dead }, dryRun) =>
    `${dryRun ? 'would rewrite' : 'rewrote'} ${counted(packs, 'file')} for the ${bytes(dead)} in them that hold nothing any more`,
  'small-blocks': ({ count: packs }, dryRun) =>
    `${dryRun ? 'would rewrite' : 'rewrote'} ${counted(packs, 'file')} to merge small blocks`,
};

function linesOf(report: CollectReport): string[] {
  const [collected, gave, deleted] = report.dryRun
    ? ['would collect', 'would give', 'would delete']
    : ['collected', 'gave', 'deleted'];
  const lines = [
    `${collected} ${counted(report.collectedSegments, 'segment')}, ${bytes(report.collectedBytes)} before compression; ` +
      `${gave} back ${bytes(report.freedBytes)} of disk; took ${seconds(report.durationMs)}`,
  ];
  if (report.expiredManifests > 0) lines.push(`${deleted} ${counted(report.expiredManifests, 'expired manifest')}`);
  for (const [reason, tell] of Object.entries(REASONS) as [keyof typeof REASONS, Tell][]) {
    const part = report.reasons[reason];
    if (part !== undefined) lines.push(tell(part, report.dryRun));
  }
  if (report.waitingSegments > 0) {
    const waiting = counted(report.waitingSegments, 'unreferenced segment');
    lines.push(`${waiting}, ${bytes(report.waitingBytes)} before compression, wait for the end of the grace`);
  }
  if (report.deadBytes > 0)
    lines.push(`${bytes(report.deadBytes)} of disk hold nothing any more; --full gives them back`);
  if (!report.isComplete) lines.push('stopped at the deadline: the next run goes on from there');
  return lines;
}
