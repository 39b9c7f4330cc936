import { setTimeout as sleep } from 'node:timers/promises';
import { MOST_NAMED_MANIFESTS } from '../../contract/findings.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { packLength, packPath } from '../files/pack-files.ts';
import { KIND_NUMBERS } from '../format/schema.ts';
import { outdatedIndex, surveyUnaccounted, type Unaccounted } from '../packs/unknown-commits.ts';
import { keyOf } from '../tables/manifest-table.ts';
import type { AuditRun } from './audit-run.ts';

/** A living writer gets this time, in ms, this often, to commit what it has written. */
const WAIT_MS = 50;
const ATTEMPTS = 10;

interface PackRow {
  readonly id: number;
  readonly size: number;
  readonly owner: string | null;
}

/**
 * Reports bytes behind the end of a pack that the index, as it is now, knows, where they hold
 * blocks. A commit that was cut off leaves such bytes; so does an index that is older than the
 * packs: then there are two commits or more.
 */
export async function checkPackEnds(run: AuditRun): Promise<void> {
  const { context } = run;
  const tails: [number, Tail][] = [];
  for (const { id } of context.index.database.all<{ id: number }>('SELECT id FROM pack')) {
    const tail = await settledTail(context, id);
    if (tail !== undefined && tail.unaccounted.blocks > 0) tails.push([id, tail]);
  }
  for (const [pack, tail] of tails) {
    if (tail.unaccounted.isIndexOutdated) reportOutdatedIndex(run, pack, tail);
    else await reportCutOff(run, pack, tail);
  }
}

function reportOutdatedIndex(run: AuditRun, pack: number, { start, unaccounted }: Tail): void {
  const path = packPath(run.context.root, pack);
  const manifests = manifestsIn(unaccounted);
  run.add({
    kind: 'missing-data',
    message: outdatedIndex(path, start) + listOf(manifests),
    location: `${path} at byte ${start}`,
    manifests,
    harmful: true,
  });
}

async function reportCutOff(
  run: AuditRun,
  pack: number,
  { start, length, unaccounted }: Tail,
): Promise<void> {
  const { index, owner, root } = run.context;
  const path = packPath(root, pack);
  const repaired = run.options.repair;
  if (repaired) await index.database.write(() => owner.sealAbandoned([pack]));
  run.add({
    kind: 'stale-writer',
    message:
      `${path} has ${length} bytes that the index does not know: a commit that was ` +
      `cut off, or the last one before the index was copied${listOf(manifestsIn(unaccounted))}`,
    location: `${path} at byte ${start}`,
    repair: 'seal the pack, so that a collection frees the bytes',
    repaired,
    harmful: false,
  });
}

interface Tail {
  readonly start: number;
  readonly length: number;
  readonly unaccounted: Unaccounted;
}

/**
 * What is behind the known end of a pack; `undefined` when nothing is, or when its writer lives and
 * may commit it.
 */
async function settledTail(
  { index, root, owner }: MaintenanceContext,
  pack: number,
): Promise<Tail | undefined> {
  for (let attempt = 1; ; attempt++) {
    const { row, newest } = index.database.snapshot(() => ({
      row: index.database.get<PackRow>('SELECT id, size, owner FROM pack WHERE id = ?', pack),
      newest: index.database.meta('log'),
    }));
    const length = packLength(root, pack);
    if (row === undefined || length <= row.size) return undefined;
    const unaccounted = surveyUnaccounted(packPath(root, pack), row.size, length, newest);
    const now = index.database.value<number>('SELECT size FROM pack WHERE id = ?', pack);
    const isWriting = now !== row.size || (row.owner !== null && owner.isAlive(row.owner));
    if (!isWriting) return { start: row.size, length: length - row.size, unaccounted };
    if (attempt === ATTEMPTS) return undefined;
    await sleep(WAIT_MS);
  }
}

/** The manifests that the records put. */
export function manifestsIn({ records }: Unaccounted): ManifestKey[] {
  const keys: ManifestKey[] = [];
  for (const { record } of records) {
    for (const operation of record.operations) {
      if (operation.type !== 'put' || operation.kind === KIND_NUMBERS.upload) continue;
      if (keys.length < MOST_NAMED_MANIFESTS) keys.push(keyOf(operation) as ManifestKey);
    }
  }
  return keys;
}

function listOf(manifests: readonly ManifestKey[]): string {
  if (manifests.length === 0) return '';
  const shown = manifests.slice(0, 3).map(({ kind, id }) => `${kind} ${JSON.stringify(id)}`);
  const more = manifests.length - shown.length;
  const rest =
    more > 0 ? ` and ${more}${manifests.length === MOST_NAMED_MANIFESTS ? ' or' : ''} more` : '';
  return `; it has ${shown.join(', ')}${rest}`;
}
