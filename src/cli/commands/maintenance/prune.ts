import { Option } from 'commander';
import type { Retention } from '../../../core/duration.ts';
import { VarveError } from '../../../core/errors.ts';
import type { WhereCondition } from '../../../core/where.ts';
import type { PruneDecision, PruneReport } from '../../../gc/retention/prune.ts';
import type { PruneCriteria } from '../../../gc/retention/prune-criteria.ts';
import { bytes, counted, name, number, seconds } from '../../messages/human.ts';
import type { AddCommand } from '../../session/command.ts';
import { EXIT } from '../../session/exit-codes.ts';
import { condition, count, retention } from '../../session/option-values.ts';
import type { Session } from '../../session/session.ts';

interface Options {
  readonly olderThan?: Retention;
  readonly idleFor?: Retention;
  readonly keepLast?: number;
  readonly per?: 'application' | 'model';
  readonly application?: string;
  readonly model?: string;
  readonly where?: readonly WhereCondition[];
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

const AGES = `
Ages are a number and a unit: min, h, d, w, mo (30 days) or y (365 days). A bare m is refused: it
could be minutes or months.`;

/** Lines of a plan that are shown before the question. */
const SHOWN = 20;

export const addPrune: AddCommand = (program, run) => {
  const command = program
    .command('prune')
    .description(
      'Delete conversations that meet every criterion given; at least one is needed. Those ' +
        'that are held stay, and are told. ' +
        'Shows what it would delete and asks; without a terminal it needs --yes. ' +
        'What nothing else references is collected later, see gc.',
    )
    .option('--older-than <age>', 'created longer ago than this: 90d, 6mo or 1y', retention)
    .option('--idle-for <age>', 'last written to longer ago than this', retention)
    .option(
      '--keep-last <number>',
      'not among the newest so many of those that the filters below let pass',
      count,
    )
    .addOption(
      new Option(
        '--per <field>',
        'with --keep-last: the newest of each application or model (default: of all)',
      ).choices(['application', 'model']),
    )
    .option('--application <name>', 'only those of an application')
    .option('--model <name>', 'only those of a model')
    .option(
      '--where <condition>',
      'only those with a value, such as metadata.tenant=acme; may be repeated',
      condition,
    )
    .option('-n, --dry-run', 'say what would be deleted, delete nothing')
    .option('-y, --yes', 'delete without asking')
    .addHelpText('after', AGES);
  command.action(({ dryRun = false, yes = false, ...criteria }: Options) =>
    run(command, async (session) => {
      if (!dryRun && !yes && !session.canAsk) {
        throw new VarveError(
          'INVALID_ARGUMENT',
          'prune deletes, and nobody is here to be asked: give --yes to delete, or ' +
            '--dry-run to see what it would delete',
        );
      }
      const store = await session.open(dryRun ? 'read' : 'change');
      // What is asked about and what is deleted have the same age. That there is a criterion is
      // checked by the library.
      const given = { ...criteria, now: Date.now(), signal: session.signal } as PruneCriteria;
      if (dryRun) return tellEach(session, store.prune.plan(given));
      if (!yes && !(await isWanted(session, store.prune.plan(given)))) return;
      await tellEach(session, store.prune.run(given));
    }),
  );
};

type Decisions = AsyncGenerator<PruneDecision, PruneReport, undefined>;

async function tellEach(session: Session, decisions: Decisions): Promise<void> {
  const progress = await session.progress('pruning', 'items');
  let deleted = 0;
  let step = await decisions.next();
  for (; !step.done; step = await decisions.next()) {
    const { value: decision } = step;
    if (session.json) await session.output.line(JSON.stringify({ conversation: decision }));
    // Each line of a dry run is what it is for; a run tells what is out of the ordinary.
    else if (decision.status !== 'deleted') {
      progress.stop();
      await session.output.line(lineOf(decision));
    } else progress.update(++deleted, 0, '');
  }
  progress.stop();
  await session.report({ report: step.value }, [summaryOf(step.value)]);
}

/**
 * Shows the plan and asks. Where there is nothing to delete, and where the answer is no, says so.
 */
async function isWanted(session: Session, plan: Decisions): Promise<boolean> {
  const progress = await session.progress('planning', 'items');
  const lines: string[] = [];
  let planned = 0;
  let step = await plan.next();
  for (; !step.done; step = await plan.next()) {
    if (lines.length < SHOWN) lines.push(lineOf(step.value));
    progress.update(++planned, 0, '');
  }
  progress.stop();
  const report = step.value;
  if (report.deleted === 0) {
    await session.report({ report }, [...lines, summaryOf(report)]);
    return false;
  }
  if (planned > lines.length)
    lines.push(`… and ${number(planned - lines.length)} more; --dry-run lists all`);
  const question = `Delete ${counted(report.deleted, 'conversation')}?`;
  if (await session.confirm([...lines, summaryOf(report)], question)) return true;
  session.warn('nothing was deleted');
  session.exitCode = EXIT.failure;
  return false;
}

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
  const { dryRun, considered, deleted, deletedBytes, held, changed, unreadable, durationMs } =
    report;
  const left = [
    ...(held > 0 ? [`${counted(held, 'conversation')} held`] : []),
    ...(changed > 0 ? [`${changed} changed meanwhile`] : []),
    ...(unreadable > 0 ? [`${unreadable} unreadable`] : []),
  ];
  return (
    `${dryRun ? 'would delete' : 'deleted'} ${counted(deleted, 'conversation')} of ` +
    `${counted(considered, 'conversation')} ` +
    `looked at, ${bytes(deletedBytes)} as given, in ` +
    `${seconds(durationMs)}${left.length > 0 ? `; ${left.join(', ')}` : ''}`
  );
}
