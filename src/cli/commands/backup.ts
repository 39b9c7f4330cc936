import type { AddCommand } from '../command.ts';
import { bytes, counted, seconds } from '../human.ts';

export const addBackup: AddCommand = (program, run) => {
  const command = program
    .command('backup')
    .description('Copy the store, as it is at one moment, into a folder, or bring an older backup there up to date.')
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
        `${counted(report.packs, 'pack')}, ${bytes(report.bytes)}, ${bytes(report.copiedBytes)} of it copied, in ${report.location}; took ${seconds(report.durationMs)}`,
      ]);
    }),
  );
};
