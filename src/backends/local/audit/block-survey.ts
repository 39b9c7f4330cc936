import { unpackTokens } from '../../../cas/codec/token-codec.ts';
import { type Address, addressOf } from '../../../core/address.ts';
import { IdSet } from '../../../core/collections/id-set.ts';
import { isUnreadable, VarveError } from '../../../core/errors.ts';
import { PackVanished } from '../files/pack-files.ts';
import { FingerprintCheck } from '../fingerprints/fingerprint-check.ts';
import type { BlockDirectory } from '../format/block.ts';
import { SEGMENTS, type Space } from '../format/schema.ts';
import { surveySlots } from '../packs/extents.ts';
import { isOutdated } from '../packs/log-tail.ts';
import type { BlockPlace } from '../packs/record-store.ts';
import type { LocalIndex } from '../tables/local-index.ts';

export interface DamagedSegment {
  readonly record: number;
  readonly address: Address;
  readonly reason: string;
}

export interface DamagedBlock {
  readonly block: BlockPlace & { readonly space: Space };
  readonly reason: string;
  /** Whether the file is missing; otherwise its bytes are damaged. */
  readonly isMissing: boolean;
}

/** What the packs hold, as far as they can be read. */
export interface BlockSurvey {
  readonly segments: number;
  readonly verifiedBytes: number;
  /** Ids of every readable block, by space. */
  readonly present: readonly [Float64Array[], Float64Array[], Float64Array[]];
  readonly presentSegments: IdSet;
  /** The fingerprints of all present segments. */
  readonly fingerprints: FingerprintCheck;
  readonly damagedBlocks: readonly DamagedBlock[];
  readonly damagedSegments: readonly DamagedSegment[];
  /** Records in a block to which their extent does not lead. */
  readonly unreachable: readonly {
    readonly space: Space;
    readonly block: number;
    readonly record: number;
  }[];
}

/**
 * Reads every block: its directory always, its payload for a sample of blocks, and re-hashes the
 * segments of those.
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
  const present: [Float64Array[], Float64Array[], Float64Array[]] = [[], [], []];
  const presentSegments = new IdSet();
  const fingerprints = new FingerprintCheck();
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
      const directory = index.records.directory(block);
      const slots = ownSlots(index, block, directory);
      const ids = Float64Array.from(slots.reachable, (slot) => directory.ids[slot] as number);
      present[block.space].push(ids);
      if (slots.lost !== undefined)
        unreachable.push({ space: block.space, block: block.id, record: slots.lost });
      if (block.space === SEGMENTS) {
        segments += ids.length;
        for (const slot of slots.reachable) {
          const id = directory.ids[slot] as number;
          presentSegments.add(id);
          fingerprints.expect(id, directory.fingerprint(slot));
        }
      }
      // Nothing reads a block any more once other blocks have taken over all its records.
      if (ids.length > 0 && isSampled()) {
        const damaged = { reason: undefined as string | undefined };
        const payload = readPayload(index, block, onDamage, damaged);
        if (damaged.reason !== undefined)
          damagedBlocks.push({ block, reason: damaged.reason, isMissing: false });
        if (block.space === SEGMENTS)
          damagedSegments.push(...damagedIn(directory, slots.reachable, payload));
        verifiedBytes += payload?.length ?? 0;
      }
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      onDamage(error);
      damagedBlocks.push({
        block,
        reason: error.message,
        isMissing: error instanceof PackVanished,
      });
    }
    await turn(number + 1, blocks.length);
  }
  return {
    segments,
    verifiedBytes,
    present,
    presentSegments,
    fingerprints,
    damagedBlocks,
    damagedSegments,
    unreachable,
  };
}

/** The payload of a block; `undefined` when it is damaged: `damaged` then gets the reason. */
function readPayload(
  index: LocalIndex,
  block: BlockPlace,
  onDamage: (error: VarveError) => void,
  damaged: { reason: string | undefined },
): Uint8Array | undefined {
  try {
    return index.records.readPayload(block);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    onDamage(error);
    damaged.reason = error.message;
    return undefined;
  }
}

function* damagedIn(
  directory: BlockDirectory,
  slots: readonly number[],
  payload: Uint8Array | undefined,
): Generator<DamagedSegment, void, undefined> {
  for (const slot of slots) {
    const address = directory.address(slot);
    const record = directory.ids[slot] as number;
    if (payload === undefined) {
      yield { record, address, reason: 'its block cannot be read' };
      continue;
    }
    const stored = payload.subarray(directory.offsets[slot], directory.offsets[slot + 1]);
    try {
      const canonical = directory.isTokens(slot)
        ? unpackTokens(stored, `segment ${address}`)
        : stored;
      if (addressOf(canonical) !== address)
        yield { record, address, reason: 'its bytes have another hash' };
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
      yield { record, address, reason: error.message };
    }
  }
}

/**
 * The slots that a lookup by id finds in a block, and the first record that a lookup finds nowhere.
 */
function ownSlots(
  index: LocalIndex,
  block: BlockPlace & { space: Space },
  directory: BlockDirectory,
): { reachable: readonly number[]; lost: number | undefined } {
  const { reachable, others } = surveySlots(index.database, block.space, block.id, directory);
  const lost = others
    .map((slot) => directory.ids[slot] as number)
    .find((id) => !isOutdated(index, block, id) && isLost(index, block.space, id));
  return { reachable, lost };
}

function isLost(index: LocalIndex, space: Space, id: number): boolean {
  try {
    return index.records.locate(space, id) === undefined;
  } catch (error) {
    // The block that should have it is damaged, and reported as such.
    if (isUnreadable(error)) return false;
    throw error;
  }
}
