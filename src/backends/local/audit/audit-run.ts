import { setImmediate as nextTurn } from 'node:timers/promises';
import { throwIfAborted } from '../../../core/abort.ts';
import { VarveError } from '../../../core/errors.ts';
import type { AuditReport, AuditSettings, Finding } from '../../contract/audit.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { PackVanished } from '../files/pack-files.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { ManifestRow } from '../tables/manifest-table.ts';
import type { BlockSurvey } from './block-survey.ts';
import type { ReferenceSurvey } from './reference-survey.ts';

/** Work between two turns of the event loop, in ms. */
const TURN_MS = 20;

/** What an audit has read before it checks anything. */
export interface Evidence {
  readonly blocks: BlockSurvey;
  readonly references: ReferenceSurvey;
}

export interface AuditResult {
  readonly findings: readonly Finding[];
  readonly report: AuditReport;
}

/** A collection has removed a pack that the audit's snapshot names. */
export class SnapshotOutdated extends VarveError {
  constructor() {
    super(
      'BUSY',
      'collections kept removing packs during the audit: run it again when they have ended',
    );
  }
}

/** What the checks of one audit share. */
export class AuditRun {
  readonly context: MaintenanceContext;
  /** The store as the audit's snapshot has it. */
  readonly index: LocalIndex;
  readonly options: AuditSettings;
  readonly #started = performance.now();
  readonly #findings: Finding[] = [];
  #lastTurn = performance.now();

  constructor(context: MaintenanceContext, index: LocalIndex, options: AuditSettings) {
    this.context = context;
    this.index = index;
    this.options = options;
  }

  add(finding: Pick<Finding, 'kind' | 'message' | 'harmful'> & Partial<Finding>): void {
    this.#findings.push({ manifests: [], repair: 'none', repaired: false, ...finding });
  }

  keysOf(rows: readonly ManifestRow[] | undefined): ManifestKey[] {
    return (rows ?? []).map((row) => this.index.manifests.head(row).key);
  }

  /** @throws {@link SnapshotOutdated} when a pack is gone because a collection has emptied it. */
  assertCurrent(error: VarveError): void {
    if (isOutdated(this.context, error)) throw new SnapshotOutdated();
  }

  /** Reports progress and lets other work run, once in a while. */
  async turn(phase: string, done: number, total: number): Promise<void> {
    if (performance.now() - this.#lastTurn < TURN_MS) return;
    throwIfAborted(this.options.signal);
    this.options.onProgress?.({ phase, done, total });
    await nextTurn();
    this.#lastTurn = performance.now();
  }

  result(totals: Pick<AuditReport, 'manifests' | 'segments' | 'verifiedBytes'>): AuditResult {
    const findings = this.#findings;
    const unrepaired = findings.filter(({ repaired }) => !repaired).length;
    const durationMs = performance.now() - this.#started;
    return { findings, report: { ...totals, findings: findings.length, unrepaired, durationMs } };
  }
}

/** Whether a pack is missing of which the index, as it is now, expects nothing. */
export function isOutdated({ index }: MaintenanceContext, error: unknown): boolean {
  return (
    error instanceof PackVanished &&
    index.database.get('SELECT 1 FROM block WHERE pack = ?', error.pack) === undefined
  );
}
