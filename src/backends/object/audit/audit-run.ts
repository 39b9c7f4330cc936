import type { Address } from '../../../core/address.ts';
import type { AuditSettings, Finding } from '../../contract/audit.ts';
import { MARKED, TO_MARK } from '../../contract/findings.ts';
import type { SegmentTaker } from '../segments/segment-taker.ts';
import type { Hints } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import { UnhintedGarbage } from './audit-garbage.ts';
import type { Diagnosis } from './diagnosis.ts';

/** The parts of an open store that an audit uses. */
export interface AuditContext {
  readonly protocol: Protocol;
  readonly taker: SegmentTaker;
  readonly hints: Hints;
}

/** What the steps of one audit share. */
export class AuditRun {
  readonly context: AuditContext;
  readonly options: AuditSettings;
  readonly garbage: UnhintedGarbage;
  readonly tally = { manifests: 0, segments: 0, verifiedBytes: 0, findings: 0, unrepaired: 0 };
  /** Hot segments whose references a repair counts again at the end. */
  readonly toCool: Address[] = [];
  /** Keys of the objects of manifests that cannot be read. */
  readonly unreadableManifests = new Set<string>();

  constructor(context: AuditContext, options: AuditSettings) {
    this.context = context;
    this.options = options;
    this.garbage = new UnhintedGarbage(context.protocol, context.hints);
  }

  /** If one manifest cannot be read, nothing may be treated as unreferenced. */
  get knowsAllReferences(): boolean {
    return this.unreadableManifests.size === 0;
  }

  /** Repairs, if the options say so, and reports. */
  async *report(diagnoses: readonly Diagnosis[]): AsyncGenerator<Finding, void, undefined> {
    for (const { finding, mend } of diagnoses) {
      const mends = this.options.repair && mend !== undefined;
      const repaired = mends && (await mend());
      this.tally.findings++;
      if (!repaired) this.tally.unrepaired++;
      yield {
        ...finding,
        ...(mends && finding.repair === TO_MARK && { repair: MARKED }),
        repaired,
      };
    }
  }

  progress(phase: string, done: number): void {
    this.options.onProgress?.({ phase, done, total: done });
  }
}
