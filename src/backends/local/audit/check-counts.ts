import { slicesOf } from '../../../core/batches.ts';
import { RECOUNT } from '../../contract/findings.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { BODIES, recordName, SEGMENTS, type Space, SWEPT } from '../format/schema.ts';
import { DeadBytes } from '../tables/dead-bytes.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { AuditRun, Evidence } from './audit-run.ts';

/** Counts repaired in one transaction. */
const BATCH = 5000;

/** A record whose stored count is not that of the manifests. */
interface WrongCount {
  readonly space: Space;
  readonly record: number;
  readonly stored: number;
  readonly actual: number;
}

/** Compares the counts of all records with the references that the manifests have. */
export async function checkCounts(run: AuditRun, { blocks, references }: Evidence): Promise<void> {
  const { index, context } = run;
  const { present } = blocks;
  const wrong: WrongCount[] = [
    ...wrongCounts(index, SEGMENTS, present[SEGMENTS], (record) =>
      references.references.get(record),
    ),
    ...wrongCounts(index, BODIES, present[BODIES], (record) =>
      references.bodies.has(record) ? 1 : 0,
    ),
  ];
  // Nobody knows what an unreadable manifest references, so a count that looks too high may be
  // right.
  const certain = wrong.filter(
    ({ stored, actual }) => references.broken.length === 0 || actual > Math.max(0, stored),
  );
  const repaired = run.options.repair;
  if (repaired && certain.length > 0) await repairCounts(context, certain);
  for (const each of certain) {
    const { space, record } = each;
    const place = space === SEGMENTS ? index.records.locate(SEGMENTS, record) : undefined;
    run.add({
      kind: 'wrong-count',
      message: describe(each),
      ...(place === undefined ? {} : { address: place.directory.address(place.slot) }),
      repair: RECOUNT,
      repaired,
      harmful: false,
    });
  }
}

/**
 * Records that are swept and unreferenced, or garbage and unreferenced, are as they should be.
 *
 * @param present records that some block holds.
 */
function* wrongCounts(
  index: LocalIndex,
  space: Space,
  present: readonly Float64Array[],
  actualOf: (record: number) => number,
): Generator<WrongCount, void, undefined> {
  for (const ids of present) {
    if (ids.length === 0) continue;
    const rows = index.database.all<{ record: number; refs: number }>(
      'SELECT record, refs FROM state WHERE space = ? AND record BETWEEN ? AND ?',
      space,
      ids[0],
      ids[ids.length - 1],
    );
    const states = new Map(rows.map(({ record, refs }) => [record, refs]));
    for (const record of ids) {
      const stored = states.get(record) ?? 1;
      const actual = actualOf(record);
      if (Math.max(0, stored) !== actual) yield { space, record, stored, actual };
    }
  }
}

/**
 * Corrects counts. Writers may have changed a count since the audit's snapshot, so this applies the
 * difference that the audit found, not the value. A record that was condemned although it is
 * referenced comes back to life: its bytes are still there.
 */
async function repairCounts(
  { index, clock }: MaintenanceContext,
  wrong: readonly WrongCount[],
): Promise<void> {
  for (const batch of slicesOf(wrong, BATCH)) {
    await index.database.write(() => {
      index.refresh();
      const revived = new DeadBytes();
      for (const { space, record, stored, actual } of batch) {
        const current = index.ledger.count(space, record);
        if (current === SWEPT) revived.add(index, space, record);
        index.ledger.set(
          space,
          record,
          Math.max(0, Math.max(0, current) + actual - Math.max(0, stored)),
          clock(),
        );
      }
      for (const [block, bytes] of revived.byBlock)
        index.database.run('UPDATE block SET dead = dead - ? WHERE id = ?', bytes, block);
      index.bumpEpoch();
    });
  }
}

function describe({ space, record, stored, actual }: WrongCount): string {
  const count = stored === SWEPT ? 'is marked as collected' : `has a count of ${stored}`;
  const holders =
    actual === 1 ? '1 manifest entry references it' : `${actual} manifest entries reference it`;
  return `${recordName(space, record)} ${count}, but ${holders}`;
}
