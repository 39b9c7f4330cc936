import { copyLine, unreadableLines } from '../../messages/backup-lines.ts';
import { seconds } from '../../messages/human.ts';
import type { AddCommand } from '../../session/command.ts';
import { EXIT } from '../../session/exit-codes.ts';

export const addBackup: AddCommand = (program, run) => {
  const command = program
    .command('backup')
    .description(
      'Copy the store into a folder, or bring an older backup there up to date. Exit code 5 ' +
        'when something in the store cannot be read.',
    )
    .argument('<directory>', 'a new or empty folder, or one that holds a backup of this store');
  command.action((directory: string) =>
    run(command, async (session) => {
      const store = await session.open('read');
      const progress = await session.progress('backing up', 'items');
      const report = await store.backup(directory, {
        signal: session.signal,
        onProgress: ({ phase, done, total }) => progress.update(done, total, phase),
      });
      progress.stop();
      await session.report(report, [
        `${copyLine(report)}; took ${seconds(report.durationMs)}`,
        ...unreadableLines(report),
      ]);
      if (report.unreadable?.length) session.exitCode = EXIT.corruption;
    }),
  );
};
