import type { AddCommand } from '../../session/command.ts';

export const addUpgrade: AddCommand = (program, run) => {
  const command = program
    .command('upgrade')
    .description(
      'Bring a store to the newest format. Stop processes of older versions first: ' +
        'they no longer open it. Changes nothing where there is nothing to do.',
    );
  command.action(() =>
    run(command, async (session) => {
      const store = await session.open('write');
      const report = await store.upgrade({ signal: session.signal });
      await session.report(
        report,
        report.upgraded ? report.changes : ['the store has the newest format'],
      );
    }),
  );
};
