import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Address, addressOf } from '../../address.ts';
import { VarveError } from '../../errors.ts';
import { unpackTokens } from '../../token-codec.ts';
import { type BlockDirectory, isDamage } from './block.ts';
import { IdSet } from './id-set.ts';
import type { LocalIndex } from './local-index.ts';
import { PackVanished, packPath } from './pack-files.ts';
import type { BlockPlace } from './record-store.ts';
import { SEGMENTS, type Space } from './schema.ts';

export interface DamagedSegment {
  readonly record: number;
  readonly address: Address;
  readonly reason: string;
}

export interface DamagedBlock {
  readonly block: BlockPlace & { readonly space: Space };
  readonly reason: string;
  /** Whether it is the file, rather than what is in it, that is gone. */
  readonly isMissing: boolean;
}

/** What the packs hold, as far as it can be read. */
export interface BlockSurvey {
  readonly segments: number;
  readonly verifiedBytes: number;
  /** Ids of every readable block, by space. */
  readonly present: readonly [Float64Array[], Float64Array[]];
  readonly presentSegments: IdSet;
  readonly damagedBlocks: readonly DamagedBlock[];
  readonly damagedSegments: readonly DamagedSegment[];
  /** Records that are in a block but that their extent does not lead to. */
  readonly unreachable: readonly { readonly space: Space; readonly block: number; readonly record: number }[];
}

/**
 * Reads every block: its directory always, its payload for a sample of blocks, and re-hashes the segments of those.
 *
 * @param isSampled decides for each block whether to read its payload.
 * @param onDamage may throw to end the survey.
 */
export async function surveyBlocks(
  index: LocalIndex,
  isSampled: () => boolean,
  onDamage: (error: VarveError) => void,
  turn: (done: number, total: number) => Promise<void>,
): Promise<BlockSurvey> {
  const present: [Float64Array[], Float64Array[]] = [[], []];
  const presentSegments = new IdSet();
  const damagedBlocks: DamagedBlock[] = [];
  const damagedSegments: DamagedSegment[] = [];
  const unreachable: { space: Space; block: number; record: number }[] = [];
  let segments = 0;
  let verifiedBytes = 0;
  const blocks = index.database.all<BlockPlace & { space: Space; length: number }>(
    'SELECT id, space, pack, start, length FROM block ORDER BY pack, start',
  );
  for (const [number, block] of blocks.entries()) {
    try {
      const sampled = isSampled();
      const payload = sampled ? index.records.readPayload(block) : undefined;
      const directory = index.records.directory(block);
      present[block.space].push(directory.ids);
      const stray = firstUnreachable(index, block, directory);
      if (stray !== undefined) unreachable.push({ space: block.space, block: block.id, record: stray });
      if (block.space === SEGMENTS) {
        segments += directory.records;
        for (const id of directory.ids) presentSegments.add(id);
        if (payload !== undefined) damagedSegments.push(...damagedIn(directory, payload));
      }
      if (payload !== undefined) verifiedBytes += payload.length;
    } catch (error) {
      if (!isDamage(error)) throw error;
      onDamage(error);
      damagedBlocks.push({ block, reason: error.message, isMissing: error instanceof PackVanished });
    }
    await turn(number + 1, blocks.length);
  }
  return { segments, verifiedBytes, present, presentSegments, damagedBlocks, damagedSegments, unreachable };
}

function* damagedIn(directory: BlockDirectory, payload: Uint8Array): Generator<DamagedSegment, void, undefined> {
  for (let slot = 0; slot < directory.records; slot++) {
    const address = directory.address(slot);
    const record = directory.ids[slot] as number;
    const stored = payload.subarray(directory.offsets[slot], directory.offsets[slot + 1]);
    try {
      const canonical = directory.isTokens(slot) ? unpackTokens(stored, `segment ${address}`) : stored;
      if (addressOf(canonical) !== address) yield { record, address, reason: 'its bytes hash to something else' };
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
      yield { record, address, reason: error.message };
    }
  }
}

/** The first record of a block that a lookup by id would not find there. */
function firstUnreachable(
  index: LocalIndex,
  block: BlockPlace & { space: Space },
  { ids }: BlockDirectory,
): number | undefined {
  for (let at = 0; at < ids.length; ) {
    const id = ids[at] as number;
    const extent = index.database.get<{ block: number }>(
      'SELECT block FROM extent WHERE space = ? AND first <= ? ORDER BY first DESC LIMIT 1',
      block.space,
      id,
    );
    if (extent?.block !== block.id) return id;
    // Everything up to the next extent is reached the same way.
    const next =
      index.database.value<number>(
        'SELECT first FROM extent WHERE space = ? AND first > ? ORDER BY first LIMIT 1',
        block.space,
        id,
      ) ?? Number.POSITIVE_INFINITY;
    while (at < ids.length && (ids[at] as number) < next) at++;
  }
  return undefined;
}

/** Files in the packs folder that the index does not name. Packs are registered before they are created, so these are nobody's. */
export function strayFiles(index: LocalIndex, root: string): string[] {
  const folder = join(root, 'packs');
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder);
  const known = new Set(index.database.all<{ id: number }>('SELECT id FROM pack').map(({ id }) => packPath(root, id)));
  // One that is gone again was removed by a collection between the two looks.
  return files.map((name) => join(folder, name)).filter((path) => !known.has(path) && existsSync(path));
}
