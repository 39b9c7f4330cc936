import { join } from 'node:path';
import { IdSet } from '../../../core/collections/id-set.ts';
import type { VarveError } from '../../../core/errors.ts';
import type { AuditSettings } from '../../contract/audit.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { integrityFaults } from '../database/index-upkeep.ts';
import { PackReader } from '../files/pack-files.ts';
import { LocalIndex } from '../tables/local-index.ts';
import {
  type AuditResult,
  AuditRun,
  type Evidence,
  isOutdated,
  SnapshotOutdated,
} from './audit-run.ts';
import { surveyBlocks } from './block-survey.ts';
import { checkBlocks, checkReferencedSegments } from './check-blocks.ts';
import { checkCounts } from './check-counts.ts';
import { checkFingerprints } from './check-fingerprints.ts';
import { checkManifests, checkUploads } from './check-manifests.ts';
import { checkPackEnds } from './check-pack-ends.ts';
import { checkStrayFiles } from './check-stray-files.ts';
import { surveyReferences } from './reference-survey.ts';

/** An audit starts again when a collection has removed a pack meanwhile, at most this often. */
const ATTEMPTS = 5;

/**
 * What an audit does once it has read all blocks and all manifests, in the order of the report. A
 * check repairs what it finds, if the options say so: in short transactions on the main connection,
 * each right beside writers. The last two compare with the index as it is now.
 */
const CHECKS: readonly ((run: AuditRun, evidence: Evidence) => void | Promise<void>)[] = [
  checkBlocks,
  checkManifests,
  checkReferencedSegments,
  checkCounts,
  checkFingerprints,
  checkUploads,
  checkPackEnds,
  checkStrayFiles,
];

/**
 * Verifies a local store. It reads through a connection of its own, in one snapshot, so that
 * writers neither wait nor disturb it; the write-ahead log grows meanwhile.
 */
export async function auditLocal(
  context: MaintenanceContext,
  options: AuditSettings,
): Promise<AuditResult> {
  for (let attempt = 1; ; attempt++) {
    const database = context.index.database.sibling();
    const packs = new PackReader(context.folder);
    try {
      database.holdSnapshot();
      const index = new LocalIndex(context.root, database, packs);
      index.refresh();
      return await audit(new AuditRun(context, index, options));
    } catch (cause) {
      const error = isOutdated(context, cause) ? new SnapshotOutdated() : cause;
      if (!(error instanceof SnapshotOutdated) || attempt === ATTEMPTS) throw error;
    } finally {
      packs.closeAll();
      database.close();
    }
  }
}

async function audit(run: AuditRun): Promise<AuditResult> {
  const faults = integrityFaults(run.index.database);
  if (faults.length > 0) return reportIndex(run, faults);
  const evidence = await readAll(run);
  for (const check of CHECKS) await check(run, evidence);
  const { blocks, references } = evidence;
  const { segments, verifiedBytes } = blocks;
  return run.result({ manifests: references.manifests, segments, verifiedBytes });
}

/** Reads every block, then every manifest. */
async function readAll(run: AuditRun): Promise<Evidence> {
  const { index } = run;
  const { sample } = run.options;
  const isSampled = () => sample >= 1 || Math.random() < sample;
  const onDamage = (error: VarveError) => run.assertCurrent(error);
  const blocks = await surveyBlocks(index, isSampled, onDamage, (done, total) =>
    run.turn('blocks', done, total),
  );
  const damaged = new IdSet();
  for (const { record } of blocks.damagedSegments) damaged.add(record);
  const isSuspect = (segment: number) =>
    damaged.has(segment) || !blocks.presentSegments.has(segment);
  const references = await surveyReferences(index, isSuspect, onDamage, (done, total) =>
    run.turn('manifests', done, total),
  );
  return { blocks, references };
}

/** Where the index itself is damaged, nothing else can be checked. */
function reportIndex(run: AuditRun, faults: readonly string[]): AuditResult {
  for (const fault of faults) {
    run.add({
      kind: 'corrupt-data',
      message:
        `the index is damaged: ${fault.replaceAll('\n', ' ')}; rebuild the store from its ` +
        'packs with varve salvage',
      location: join(run.context.root, 'varve.db'),
      harmful: true,
    });
  }
  return run.result({ manifests: 0, segments: 0, verifiedBytes: 0 });
}
