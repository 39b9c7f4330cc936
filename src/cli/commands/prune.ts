import { Option } from 'commander';
import type { Retention } from '../../duration.ts';
import type { PruneDecision, PruneReport } from '../../gc/prune.ts';
import type { PruneCriteria } from '../../gc/prune-criteria.ts';
import type { WhereCondition } from '../../where.ts';
import type { AddCommand } from '../command.ts';
import { bytes, counted, name, seconds } from '../human.ts';
import { condition, count, retention } from '../option-values.ts';

interface Options {
  readonly olderThan?: Retention;
  readonly idleFor?: Retention;
  readonly keepLast?: number;
  readonly per?: 'application' | 'model';
  readonly application?: string;
  readonly model?: string;
  readonly where?: readonly WhereCondition[];
  readonly dryRun?: boolean;
}

export const addPrune: AddCommand = (program, run) => {
  const command = program
    .command('prune')
    .description(
      'Delete conversations that meet every criterion given; at least one is needed. Those that are held stay, and are told. ' +
        'What nothing else references is collected later, see gc.',
    )
    .option('--older-than <duration>', 'created longer ago than this, such as 90d', retention)
    .option('--idle-for <duration>', 'not written to for so long', retention)
    .option('--keep-last <number>', 'not among the newest so many of those that the filters below let pass', count)
    .addOption(
      new Option('--per <field>', 'with --keep-last: the newest of each application or model').choices([
        'application',
        'model',
      ]),
    )
    .option('--application <name>', 'only those of an application')
    .option('--model <name>', 'only those of a model')
    .option('--where <condition>', 'only those with a value, such as metadata.tenant=acme; may be repeated', condition)
    .option('-n, --dry-run', 'say what would be deleted, delete nothing');
  command.action(({ dryRun = false, ...criteria }: Options) =>
    run(command, async (session) => {
      const store = await session.open(dryRun ? 'read' : 'change');
      // That there is a criterion is checked by the library.
      const given = { ...criteria, signal: session.signal } as PruneCriteria;
      const decisions = dryRun ? store.prune.plan(given) : store.prune.run(given);
      const progress = await session.progress('pruning', 'items');
      let told = 0;
      let step = await decisions.next();
      for (; !step.done; step = await decisions.next()) {
        const { value: decision } = step;
        if (session.json) await session.output.line(JSON.stringify({ conversation: decision }));
        // Each line of a dry run is what it is for; a run tells what is out of the ordinary.
        else if (dryRun || decision.status !== 'deleted') {
          progress.stop();
          await session.output.line(lineOf(decision));
        } else progress.update(++told, 0, '');
      }
      progress.stop();
      await session.report({ report: step.value }, [summaryOf(step.value)]);
    }),
  );
};

const FATES: Record<PruneDecision['status'], string> = {
  planned: 'would delete',
  deleted: 'deleted',
  held: 'held',
  changed: 'changed meanwhile, left alone',
  unreadable: 'unreadable, left alone',
};

function lineOf({ status, id, why, hold }: PruneDecision): string {
  const reason = hold?.reason === undefined ? '' : ` (${name(hold.reason)})`;
  return `${FATES[status]}${reason}: ${name(id)}, ${why.join(', ')}`;
}

function summaryOf(report: PruneReport): string {
  const { dryRun, considered, deleted, deletedBytes, held, changed, unreadable, durationMs } = report;
  const left = [
    ...(held > 0 ? [`${counted(held, 'conversation')} held`] : []),
    ...(changed > 0 ? [`${changed} changed meanwhile`] : []),
    ...(unreadable > 0 ? [`${unreadable} unreadable`] : []),
  ];
  return (
    `${dryRun ? 'would delete' : 'deleted'} ${counted(deleted, 'conversation')} of ${counted(considered, 'conversation')} ` +
    `looked at, ${bytes(deletedBytes)} as given, in ${seconds(durationMs)}${left.length > 0 ? `; ${left.join(', ')}` : ''}`
  );
}
