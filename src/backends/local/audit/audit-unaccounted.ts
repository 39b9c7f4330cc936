import { setTimeout as sleep } from 'node:timers/promises';
import type { Finding } from '../../contract/maintenance.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { packLength, packPath } from '../files/pack-files.ts';
import { KIND_NUMBERS } from '../format/schema.ts';
import { outdatedIndex, surveyUnaccounted, type Unaccounted } from '../packs/unknown-commits.ts';
import { keyOf } from '../tables/manifest-table.ts';

/** Manifests that a finding names at the most. */
const NAMED = 100;

/** A living writer is given this long, in ms, so many times, to commit what it has written. */
const WAIT_MS = 50;
const ATTEMPTS = 10;

interface PackRow {
  readonly id: number;
  readonly size: number;
  readonly owner: string | null;
}

export type UnaccountedFinding = Omit<Finding, 'repaired'> & {
  /** The pack to seal, so that its bytes are given back; `undefined` when nothing may be done. */
  readonly pack: number | undefined;
};

/**
 * Bytes behind what the index knows of a pack, where they hold blocks. A commit that was cut off
 * leaves such bytes; so does an index that is older than the packs, which is told from it by two
 * commits or more.
 */
export async function findUnaccounted(context: MaintenanceContext): Promise<UnaccountedFinding[]> {
  const findings: UnaccountedFinding[] = [];
  for (const { id } of context.index.database.all<{ id: number }>('SELECT id FROM pack')) {
    const tail = await settledTail(context, id);
    if (tail === undefined || tail.unaccounted.blocks === 0) continue;
    const { start, length, unaccounted } = tail;
    const path = packPath(context.root, id);
    const location = `${path} at byte ${start}`;
    const manifests = manifestsIn(unaccounted);
    const held = manifests.length === 0 ? '' : `; it has ${list(manifests)}`;
    if (unaccounted.isIndexOutdated) {
      const message = outdatedIndex(path, start) + held;
      findings.push({
        kind: 'missing-data',
        message,
        location,
        manifests,
        repair: 'none',
        harmful: true,
        pack: undefined,
      });
      continue;
    }
    findings.push({
      kind: 'stale-writer',
      message:
        `${path} has ${length} bytes that the index does not account for: a commit that was ` +
        `cut off, or the last one before the index was copied${held}`,
      location,
      manifests: [],
      repair: 'seal the pack, so that a collection gives the bytes back',
      harmful: false,
      pack: id,
    });
  }
  return findings;
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

/** Manifests that the records put or change, as far as these say. */
export function manifestsIn({ records }: Unaccounted): ManifestKey[] {
  const keys: ManifestKey[] = [];
  for (const { record } of records) {
    for (const operation of record.operations) {
      if (operation.type !== 'put' || operation.kind === KIND_NUMBERS.upload) continue;
      if (keys.length < NAMED) keys.push(keyOf(operation) as ManifestKey);
    }
  }
  return keys;
}

function list(manifests: readonly ManifestKey[]): string {
  const shown = manifests.slice(0, 3).map(({ kind, id }) => `${kind} ${JSON.stringify(id)}`);
  const more = manifests.length - shown.length;
  return more > 0
    ? `${shown.join(', ')} and ${more}${manifests.length === NAMED ? ' or' : ''} more`
    : shown.join(', ');
}
