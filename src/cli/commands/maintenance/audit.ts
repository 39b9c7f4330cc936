import type { AuditReport, Finding } from '../../../backends/contract/audit.ts';
import { isVarveError } from '../../../core/errors.ts';
import type { Store } from '../../../store.ts';
import { bytes, counted, name, seconds } from '../../messages/human.ts';
import type { AddCommand } from '../../session/command.ts';
import { EXIT } from '../../session/exit-codes.ts';
import { share } from '../../session/option-values.ts';
import type { Session } from '../../session/session.ts';

interface Options {
  readonly repair?: boolean;
  readonly sample?: number;
  readonly deep?: boolean;
}

/** Manifests listed per finding. */
const NAMED = 5;

export const addAudit: AddCommand = (program, run) => {
  const command = program
    .command('audit')
    .description(
      'Verify the store: re-hash what is stored and recount references. Exit code 5 when ' +
        'anything is left unrepaired.',
    )
    .option('--repair', 'repair what can be repaired')
    .option('--deep', 'also rebuild every conversation and blob, and verify its digest')
    .option(
      '--sample <share>',
      'read and re-hash only this share of the data, such as 1% (default: 100%)',
      share,
    );
  command.action(({ repair = false, deep = false, sample }: Options) =>
    run(command, async (session) => {
      const store = await openForAudit(session, repair);
      const progress = await session.progress('auditing', 'items');
      const audit = store.audit({
        repair,
        deep,
        ...(sample !== undefined && { sample }),
        signal: session.signal,
        onProgress: ({ phase, done, total }) => progress.update(done, total, phase),
      });
      let step = await audit.next();
      for (; !step.done; step = await audit.next()) {
        progress.stop();
        await print(session, step.value);
      }
      progress.stop();
      const report = step.value;
      await session.report({ report }, [summaryOf(report)]);
      if (report.unrepaired > 0) session.exitCode = EXIT.corruption;
    }),
  );
};

/** Opens for writing where possible, so that the audit can store its report. */
async function openForAudit(session: Session, repair: boolean): Promise<Store> {
  try {
    return await session.open('change');
  } catch (error) {
    const isRefused = (['READ_ONLY', 'DENIED', 'NO_SPACE'] as const).some((code) =>
      isVarveError(error, code),
    );
    if (repair || !isRefused) throw error;
    return session.open('read');
  }
}

async function print(session: Session, finding: Finding): Promise<void> {
  if (session.json) return session.output.line(JSON.stringify({ finding }));
  await session.output.line(`${finding.kind}: ${finding.message} (${fateOf(finding)})`);
  for (const { kind, id } of finding.manifests.slice(0, NAMED))
    await session.output.line(`  affects ${kind} ${name(id)}`);
  if (finding.manifests.length > NAMED)
    await session.output.line(`  and ${finding.manifests.length - NAMED} more`);
}

function fateOf({ repaired, repair }: Finding): string {
  if (repaired) return 'repaired';
  if (repair === 'none') return 'cannot be repaired here';
  const [, reason] = /^none[^:]*: (.*)$/.exec(repair) ?? [];
  return reason ?? `repair would ${repair}`;
}

function summaryOf(report: AuditReport): string {
  const found =
    report.findings === 0
      ? 'nothing wrong'
      : `${counted(report.findings, 'finding')}, ${report.unrepaired} left unrepaired`;
  return (
    `${counted(report.manifests, 'manifest')}, ${counted(report.segments, 'segment')}, ` +
    `${bytes(report.verifiedBytes)} re-hashed in ${seconds(report.durationMs)}: ${found}`
  );
}
