import { copyLine, unreadableLines } from '../../messages/backup-lines.ts';
import { counted, seconds } from '../../messages/human.ts';
import type { AddCommand } from '../../session/command.ts';
import { EXIT } from '../../session/exit-codes.ts';

export const addRestore: AddCommand = (program, run) => {
  const command = program
    .command('restore')
    .description(
      'Create a new store from a backup, and verify it. Exit code 5 when ' +
        'the backup is damaged.',
    )
    .argument('<directory>', 'the backup; it stays unchanged');
  command.action((directory: string) =>
    run(command, async (session) => {
      const location = session.location();
      const { restoreStore } = await import('../../../recovery.ts');
      const progress = await session.progress('restoring', 'items');
      const report = await restoreStore(directory, location, {
        signal: session.signal,
        onProgress: ({ phase, done, total }) => progress.update(done, total, phase),
      });
      progress.stop();
      const { audit, findings } = report;
      await session.report(report, [
        `${copyLine(report)}; ${counted(audit.manifests, 'manifest')} verified; took ` +
          `${seconds(report.durationMs + audit.durationMs)}`,
        ...unreadableLines(report),
        ...findings.map(({ kind, message }) => `${kind}: ${message}`),
      ]);
      if (audit.unrepaired > 0 || report.unreadable?.length) session.exitCode = EXIT.corruption;
    }),
  );
};
