import {
  type AuditOptions,
  type AuditReport,
  auditKinds,
  type Finding,
} from '../../backends/contract/audit.ts';
import type { ManifestKey } from '../../backends/contract/manifests.ts';
import { abortOf } from '../../core/abort.ts';
import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';
import { leaveCount } from '../leave-count.ts';
import { auditContent, type Readers } from './content-audit.ts';

/** Options of an audit of a store. */
export interface StoreAuditOptions extends AuditOptions {
  /**
   * Also rebuild every conversation and blob, as a reader would, and verify their digests. Default:
   * false.
   */
  readonly deep?: boolean | undefined;
}

export const STORE_AUDIT_OPTIONS = declareOptions<StoreAuditOptions>()({
  defaults: { deep: false },
  members: (is: OptionKinds) => ({ ...auditKinds(is), deep: is.flag }),
});

/**
 * Audits the backend; a deep audit then reads all content that the backend did not already report
 * as harmed. Yields findings, returns the totals.
 */
export async function* auditStore(
  readers: Readers,
  { deep, ...options }: StoreAuditOptions,
): AsyncGenerator<Finding, AuditReport, undefined> {
  const started = performance.now();
  const reported = new Set<string>();
  const nameOf = ({ kind, id }: ManifestKey) => `${kind} ${id}`;
  const audit = readers.backend.audit(options);
  let step = await audit.next();
  for (; !step.done; step = await audit.next()) {
    if (step.value.harmful) for (const key of step.value.manifests) reported.add(nameOf(key));
    yield step.value;
  }
  await leaveCount(readers.backend, abortOf(options.signal));
  if (!deep) return step.value;
  let found = 0;
  for await (const finding of auditContent(readers, (key) => reported.has(nameOf(key)), options)) {
    found++;
    yield finding;
  }
  const { findings, unrepaired } = step.value;
  return {
    ...step.value,
    findings: findings + found,
    unrepaired: unrepaired + found,
    durationMs: performance.now() - started,
  };
}
