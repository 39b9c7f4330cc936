import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { packLength } from '../files/pack-files.ts';

interface StainedPack {
  readonly id: number;
  readonly size: number;
  readonly sealed: number;
  /** Bytes of its blocks. */
  readonly blocks: number;
  /** Whether a block of it holds something that was swept. */
  readonly hasSwept: number;
}

/**
 * The packs that hold any byte of dead content: swept records, blocks that were moved, the rest of
 * a commit that failed.
 */
export function stainedPacks({ root, index }: MaintenanceContext): StainedPack[] {
  const packs = index.database.all<StainedPack>(
    `SELECT pack.id, pack.size, pack.sealed, coalesce(sum(length), 0) AS blocks, coalesce(max(dead > 0), 0) AS hasSwept
     FROM pack LEFT JOIN block ON block.pack = pack.id GROUP BY pack.id`,
  );
  return packs.filter(({ id, size, blocks, hasSwept }) => {
    return hasSwept === 1 || Math.max(size, packLength(root, id)) > blocks;
  });
}

/**
 * Seals every pack that is to be rewritten, whoever appends to it: its owner notices before it
 * appends again, and continues in a new one.
 *
 * @returns their numbers.
 */
export async function claimStainedPacks(
  context: MaintenanceContext,
  signal?: AbortSignal,
): Promise<number[]> {
  const { index, owner } = context;
  const { current } = owner;
  if (current !== undefined && stainedPacks(context).some(({ id }) => id === current))
    await owner.seal(signal);
  return index.database.write(() => {
    const packs = stainedPacks(context);
    owner.revoke(packs.filter(({ sealed }) => sealed === 0).map(({ id }) => id));
    return packs.map(({ id }) => id);
  }, signal);
}
