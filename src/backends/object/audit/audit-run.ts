import type { Address } from '../../../core/address.ts';
import { mapAhead } from '../../../core/concurrency.ts';
import type { AuditSettings, Finding } from '../../contract/audit.ts';
import { MARKED, TO_MARK } from '../../contract/findings.ts';
import type { HeadIndex } from '../heads/head-index.ts';
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
  readonly heads: HeadIndex;
}

/** Objects audited, and repaired, at once. */
export const OBJECTS_AHEAD = 64;

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

  /**
   * Repairs, if the options say so, and reports. The diagnoses of one object are repaired one after
   * the other, those of several objects at once.
   */
  async *report(
    objects: AsyncIterable<readonly Diagnosis[]> | Iterable<readonly Diagnosis[]>,
  ): AsyncGenerator<Finding, void, undefined> {
    const settled = mapAhead(objects, { count: OBJECTS_AHEAD }, (each) => this.#settle(each));
    for await (const { findings, failure } of settled) {
      for (const finding of findings) {
        this.tally.findings++;
        if (!finding.repaired) this.tally.unrepaired++;
        yield finding;
      }
      if (failure !== undefined) throw failure.error;
    }
  }

  async #settle(
    diagnoses: readonly Diagnosis[],
  ): Promise<{ findings: Finding[]; failure?: { readonly error: unknown } }> {
    const findings: Finding[] = [];
    try {
      for (const { finding, mend } of diagnoses) {
        const mends = this.options.repair && mend !== undefined;
        const repaired = mends && (await mend());
        findings.push({
          ...finding,
          ...(mends && finding.repair === TO_MARK && { repair: MARKED }),
          repaired,
        });
      }
      return { findings };
    } catch (error) {
      // What was repaired before is reported all the same.
      return { findings, failure: { error } };
    }
  }

  progress(phase: string, done: number): void {
    this.options.onProgress?.({ phase, done, total: done });
  }
}
