import { slicesOf } from '../../../core/batches.ts';
import { isUnreadable } from '../../../core/errors.ts';
import { MARKED, TO_MARK } from '../../contract/findings.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { packPath } from '../files/pack-files.ts';
import { recordName, SEGMENTS, SWEPT } from '../format/schema.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { AuditRun, Evidence } from './audit-run.ts';
import type { BlockSurvey } from './block-survey.ts';

/** Records marked in one transaction. */
const BATCH = 5000;

const SPACE_NAMES = ['segments', 'manifests', 'the log'] as const;

/** Reports blocks and segments that cannot be read, and records to which no extent leads. */
export async function checkBlocks(run: AuditRun, evidence: Evidence): Promise<void> {
  reportDamagedBlocks(run, evidence.blocks);
  await markDamagedSegments(run, evidence.blocks);
  reportDamagedSegments(run, evidence);
  reportUnreachable(run, evidence.blocks);
}

/** Reports segments that manifests reference and no readable block holds. */
export function checkReferencedSegments(run: AuditRun, { blocks, references }: Evidence): void {
  for (const record of references.references.ids()) {
    if (blocks.presentSegments.has(record)) continue;
    run.add({
      kind: 'missing-data',
      message: `${recordName(SEGMENTS, record)} is referenced, but no readable block holds it`,
      manifests: run.keysOf(references.holders.get(record)),
      harmful: true,
    });
  }
}

function reportDamagedBlocks(run: AuditRun, { damagedBlocks }: BlockSurvey): void {
  for (const { block, reason, isMissing } of damagedBlocks) {
    run.add({
      kind: isMissing ? 'missing-data' : 'corrupt-data',
      message: `a block of ${SPACE_NAMES[block.space]} cannot be read: ${reason}`,
      location: `${packPath(run.context.root, block.pack)} at byte ${block.start}`,
      harmful: true,
    });
  }
}

function reportDamagedSegments(run: AuditRun, { blocks, references }: Evidence): void {
  for (const { record, address, reason } of blocks.damagedSegments) {
    const isMarked = run.options.repair || run.index.damaged.has(record);
    run.add({
      kind: 'corrupt-data',
      message: `segment ${address} is damaged: ${reason}`,
      address,
      manifests: run.keysOf(references.holders.get(record)),
      repair: isMarked ? MARKED : TO_MARK,
      harmful: references.references.get(record) > 0,
    });
  }
}

function reportUnreachable(run: AuditRun, { unreachable }: BlockSurvey): void {
  for (const { space, block, record } of unreachable) {
    const name = recordName(space, record);
    run.add({
      kind: 'missing-data',
      message: `${name} is in block ${block}, but the index does not lead there`,
      location: `block ${block}`,
      harmful: true,
    });
  }
}

/**
 * Marks damaged segments, so that the next put of the same bytes stores them again under the ids
 * that they have. Those that can be read by now stay unmarked.
 */
async function markDamagedSegments(
  { context, index, options }: AuditRun,
  { damagedSegments }: BlockSurvey,
): Promise<void> {
  if (!options.repair) return;
  const records = damagedSegments
    .map(({ record }) => record)
    .filter((record) => !index.damaged.has(record));
  for (const batch of slicesOf(records, BATCH)) await markBatch(context, batch);
}

async function markBatch({ index }: MaintenanceContext, records: readonly number[]): Promise<void> {
  await index.database.write(() => {
    index.refresh();
    const unreadableBlocks = new Set<number>();
    const damaged = records.filter((record) => isDamagedNow(index, record, unreadableBlocks));
    for (const record of damaged)
      index.database.run('INSERT OR IGNORE INTO damage VALUES (?)', record);
    if (damaged.length > 0) index.bumpEpoch();
  });
}

/** @param unreadableBlocks those found so far: each is read once. */
function isDamagedNow(index: LocalIndex, record: number, unreadableBlocks: Set<number>): boolean {
  if (index.ledger.count(SEGMENTS, record) === SWEPT) return false;
  try {
    const place = index.records.locate(SEGMENTS, record);
    if (place === undefined) return false;
    if (unreadableBlocks.has(place.block.id)) return true;
    try {
      index.records.payload(place.block);
    } catch (error) {
      if (isUnreadable(error)) unreadableBlocks.add(place.block.id);
      throw error;
    }
    index.records.segment(place);
    return false;
  } catch (error) {
    if (isUnreadable(error)) return true;
    throw error;
  }
}
