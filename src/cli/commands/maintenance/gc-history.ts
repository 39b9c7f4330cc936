import type { RunReport } from '../../../gc/run-log.ts';
import { bytes, counted, name, seconds, table, timestamp } from '../../messages/human.ts';
import type { Session } from '../../session/session.ts';

/** `gc --history`: lists the reports that maintenance runs stored, newest first. */
export async function printHistory(session: Session, limit: number): Promise<void> {
  const store = await session.open('read');
  const reports = await store.gc.history({ limit, signal: session.signal });
  if (session.json) {
    for (const report of reports) await session.output.line(JSON.stringify(report));
    return;
  }
  for (const line of table(reports.map(rowOf), [3])) await session.output.line(line.trimEnd());
}

function rowOf(report: RunReport): string[] {
  const { startedAt, operation, outcome, durationMs, error } = report;
  const text = error === undefined ? resultText(report) : `${error.code}: ${name(error.message)}`;
  return [timestamp(startedAt), operation, outcome, seconds(durationMs), text];
}

function resultText({ operation, result = {} }: RunReport): string {
  const amount = (field: string) => Number(result[field] ?? 0);
  switch (operation) {
    case 'gc':
      return (
        `collected ${counted(amount('collectedSegments'), 'segment')}, freed ` +
        `${bytes(amount('freedBytes'))}`
      );
    case 'audit':
      return `${counted(amount('findings'), 'finding')}, ${amount('unrepaired')} left unrepaired`;
    case 'prune':
      return `deleted ${counted(amount('deleted'), 'conversation')}, ${amount('held')} held`;
    default:
      return '';
  }
}
