import type { AuditReport, Finding } from '../../backends/contract/audit.ts';
import type { Backend } from '../../backends/contract/backend.ts';
import type { BackupOptions } from '../../backends/contract/backup.ts';

/** The result of the audit of a new store. */
export interface NewStoreAudit {
  /** Of the audit of the new store: every byte was read and re-hashed. */
  readonly audit: AuditReport;
  readonly findings: readonly Finding[];
}

/** Audits a new store, and closes it. Returns the report with what was found. */
export async function withAudit<Report extends object>(
  report: Report,
  backend: Backend,
  options: BackupOptions,
): Promise<Report & NewStoreAudit> {
  try {
    const findings: Finding[] = [];
    const audit = backend.audit(options);
    let step = await audit.next();
    for (; !step.done; step = await audit.next()) findings.push(step.value);
    return { ...report, audit: step.value, findings };
  } finally {
    await backend.close();
  }
}
