import { bytes, counted } from '../../messages/human.ts';
import type { AddCommand } from '../../session/command.ts';
import { EXIT } from '../../session/exit-codes.ts';

export const addDoctor: AddCommand = (program, run) => {
  const command = program
    .command('doctor')
    .description(
      'Check the surroundings of a store in a directory: links, modes, ' +
        'owners, the medium, locks, ' +
        'packs, the clock. Changes nothing. Exit code 3 with findings, 5 when a finding ' +
        'concerns a pack or the ' +
        'index.',
    )
    .argument('[directory]', 'the store (default: the one that --store names)');
  command.action((directory: string | undefined) =>
    run(command, async (session) => {
      const { doctor } = await import('../../../recovery.ts');
      const report = await doctor(directory ?? session.location());
      const { findings, location, freeBytes, node, sqlite } = report;
      const found = findings.length === 0 ? 'nothing wrong' : counted(findings.length, 'finding');
      await session.report(report, [
        ...findings.map(({ kind, message, remedy }) => `${kind}: ${message} (${remedy})`),
        `${location}: ${found}; ${bytes(freeBytes)} free, Node ${node}, SQLite ${sqlite}`,
      ]);
      const isDamaged = findings.some(
        ({ kind, harmful }) => harmful && (kind === 'index' || kind === 'pack'),
      );
      if (findings.length > 0) session.exitCode = isDamaged ? EXIT.corruption : EXIT.partial;
    }),
  );
};
