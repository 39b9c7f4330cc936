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

/** Lines of the plan shown before the question. */
const SHOWN = 20;

export const addPrune: AddCommand = (program, run) => {
  const command = program
    .command('prune')
    .description(
      'Delete conversations that meet every criterion given; at least one is required. Held ' +
        'conversations stay and are listed. ' +
        'Shows what it would delete and asks first; without a terminal it needs --yes. ' +
        'Later, gc collects the segments that nothing else references.',
    )
    .option('--older-than <age>', 'created longer ago than this: 90d, 6mo or 1y', retention)
    .option('--idle-for <age>', 'last written to longer ago than this', retention)
    .option(
      '--keep-last <number>',
      'not among this many newest of those that pass the filters below',
      count,
    )
    .addOption(
      new Option(
        '--per <field>',
        'with --keep-last: count the newest per application or model (default: among all)',
      ).choices(['application', 'model']),
    )
    .option('--application <name>', 'only those of this application')
    .option('--model <name>', 'only those of this model')
    .option(
      '--where <condition>',
      'only those with this value, such as metadata.tenant=acme; may be repeated',
      condition,
    )
    .option('-n, --dry-run', 'show what would be deleted, delete nothing')
    .option('-y, --yes', 'delete without asking')
    .addHelpText('after', AGES);
  command.action(({ dryRun = false, yes = false, ...criteria }: Options) =>
    run(command, async (session) => {
      if (!dryRun && !yes && !session.canAsk) {
        throw new VarveError(
          'INVALID_ARGUMENT',
          'prune asks before it deletes, and there is no terminal to ask on: give --yes to ' +
            'delete, or ' +
            '--dry-run to see what it would delete',
        );
      }
      const store = await session.open(dryRun ? 'read' : 'change');
      // One `now` for the question and the deletion. The library checks that there is a criterion.
      const given = { ...criteria, now: Date.now(), signal: session.signal } as PruneCriteria;
      if (dryRun) return printEach(session, store.prune.plan(given));
      if (!yes && !(await isConfirmed(session, store.prune.plan(given)))) return;
      await printEach(session, store.prune.run(given));
    }),
  );
};

type Decisions = AsyncGenerator<PruneDecision, PruneReport, undefined>;

async function printEach(session: Session, decisions: Decisions): Promise<void> {
  const progress = await session.progress('pruning', 'items');
  let deleted = 0;
  let step = await decisions.next();
  for (; !step.done; step = await decisions.next()) {
    const { value: decision } = step;
    if (session.json) await session.output.line(JSON.stringify({ conversation: decision }));
    // A dry run prints every conversation; a run prints only what it did not delete.
    else if (decision.status !== 'deleted') {
      progress.stop();
      await session.output.line(lineOf(decision));
    } else progress.update(++deleted, 0, '');
  }
  progress.stop();
  await session.report({ report: step.value }, [summaryOf(step.value)]);
}

/**
 * Shows the plan and asks for confirmation. Says so when there is nothing to delete or the answer
 * is no.
 */
async function isConfirmed(session: Session, plan: Decisions): Promise<boolean> {
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
  changed: 'changed meanwhile, not deleted',
  unreadable: 'unreadable, not deleted',
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
    `examined, ${bytes(deletedBytes)} as given, in ` +
    `${seconds(durationMs)}${left.length > 0 ? `; ${left.join(', ')}` : ''}`
  );
}
