import { Option } from 'commander';
import type { CollectReport } from '../../backends/backend.ts';
import type { AddCommand } from '../command.ts';
import { bytes, counted, seconds } from '../human.ts';
import { duration } from '../option-values.ts';

interface Options {
  readonly dryRun?: boolean;
  readonly grace: number;
  readonly full?: boolean;
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
    .option('--full', 'give back all space that can be given back, at the cost of rewriting more');
  command.action(({ dryRun = false, grace, full = false }: Options) =>
    run(command, async (session) => {
      const store = await session.open(dryRun ? 'read' : 'change');
      const progress = await session.progress('collecting', 'items');
      const options = {
        grace,
        full,
        signal: session.signal,
        onProgress: ({ phase, done, total }: { phase: string; done: number; total: number }) =>
          progress.update(done, total, phase),
      };
      const report = await (dryRun ? store.gc.plan(options) : store.gc.run(options));
      progress.stop();
      await session.report(report, linesOf(report));
    }),
  );
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
  if (report.waitingSegments > 0) {
    const waiting = counted(report.waitingSegments, 'unreferenced segment');
    lines.push(`${waiting}, ${bytes(report.waitingBytes)} before compression, wait for the end of the grace`);
  }
  if (report.deadBytes > 0)
    lines.push(`${bytes(report.deadBytes)} of disk hold nothing any more; --full gives them back`);
  return lines;
}
