import type { DoubtfulManifest } from '../../../backends/contract/rescue.ts';
import { counted, seconds } from '../../messages/human.ts';
import type { AddCommand } from '../../session/command.ts';
import { EXIT } from '../../session/exit-codes.ts';

/** Manifests listed on a terminal; `--json` lists all. */
const LISTED = 100;

export const addSalvage: AddCommand = (program, run) => {
  const command = program
    .command('salvage')
    .description(
      'Rebuild a store from its packs alone, after its index was lost, damaged or outdated. ' +
        'The directory is only ' +
        'read. Doubtful content goes into a second store, NEWDIR.quarantine. Exit code 3 ' +
        'when something is in doubt or lost.',
    )
    .argument('<directory>', 'the store, or what is left of it')
    .argument('<newdir>', 'a new or empty folder for the new store');
  command.action((directory: string, target: string) =>
    run(command, async (session) => {
      const { salvageStore } = await import('../../../recovery.ts');
      const progress = await session.progress('salvaging', 'items');
      const report = await salvageStore(directory, target, {
        signal: session.signal,
        onProgress: ({ phase, done, total }) => progress.update(done, total, phase),
      });
      progress.stop();
      const { manifests, location, quarantine, lost, damage, findings, durationMs } = report;
      await session.report(report, [
        `${counted(manifests, 'manifest')} in ${location}; took ${seconds(durationMs)}`,
        ...damage.map((each) => `damage: ${each}`),
        ...listed('lost', lost),
        ...(quarantine === undefined
          ? []
          : [
              `${counted(quarantine.manifests.length, 'manifest')} in doubt, in ` +
                `${quarantine.location}`,
            ]),
        ...listed('in doubt', quarantine?.manifests ?? []),
        ...findings.map(({ kind, message }) => `${kind}: ${message}`),
      ]);
      if (!report.isCertain || findings.length > 0) session.exitCode = EXIT.partial;
    }),
  );
};

function listed(what: string, manifests: readonly DoubtfulManifest[]): string[] {
  const lines = manifests
    .slice(0, LISTED)
    .map(({ kind, id, reason }) => `${what}: ${kind} ${JSON.stringify(id)}: ${reason}`);
  return manifests.length > LISTED
    ? [...lines, `${what}: ${manifests.length - LISTED} more; see --json`]
    : lines;
}
