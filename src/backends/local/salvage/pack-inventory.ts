import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import { unpackTokens } from '../../../cas/codec/token-codec.ts';
import { addressOf } from '../../../core/address.ts';
import { isUnreadable, VarveError } from '../../../core/errors.ts';
import { type BlockDirectory, decodeBlockPayload } from '../format/block.ts';
import type { PackSpan } from '../format/log-record.ts';
import { recordName, SEGMENTS, type Space } from '../format/schema.ts';
import { isBlock, PackFile, type ScannedBlock } from '../packs/pack-scan.ts';

/** Memory for decoded blocks, in bytes. */
const CACHE_BYTES = 64 * 1024 * 1024;

/** A block and its pack. */
export interface InventoryBlock extends ScannedBlock {
  readonly pack: number;
}

/** A range of a pack that is not a readable block. */
export interface InventoryDamage {
  readonly path: string;
  readonly start: number;
  readonly end: number;
  /** Whether it looks like the beginning of a block for which the file is too short. */
  readonly isCutOff: boolean;
}

/** Consecutive ids in a block. */
interface Run {
  readonly first: number;
  readonly end: number;
  readonly block: InventoryBlock;
}

/** A record as stored, and, for a segment, what its block says about it. */
export interface SalvagedRecord {
  readonly stored: Uint8Array;
  readonly directory: BlockDirectory;
  readonly slot: number;
}

/** All blocks in the packs of a folder, found by reading the packs from end to end. */
export class PackInventory {
  readonly blocks: InventoryBlock[] = [];
  readonly damage: InventoryDamage[] = [];
  readonly #files = new Map<number, PackFile>();
  readonly #runs: Run[][] = [[], [], []];
  /** By space, the largest `end` of the runs up to each. */
  readonly #reach: Float64Array[] = [];
  readonly #payloads = new LRUCache<InventoryBlock, Uint8Array>({
    maxSize: CACHE_BYTES,
    sizeCalculation: (payload) => payload.length + 100,
  });

  /** @throws `NOT_FOUND` when there are no packs, `INVALID_ARGUMENT` when the path is a file. */
  static open(root: string): PackInventory {
    const inventory = new PackInventory();
    try {
      const packs = packsIn(root);
      if (packs.length === 0)
        throw new VarveError('NOT_FOUND', `there are no packs in ${join(root, 'packs')}`);
      for (const { number, path } of packs) inventory.#files.set(number, new PackFile(path));
      return inventory;
    } catch (error) {
      inventory.close();
      throw error;
    }
  }

  get packs(): number[] {
    return [...this.#files.keys()];
  }

  fileOf(pack: number): PackFile {
    return this.#files.get(pack) as PackFile;
  }

  /** Adds the content of a pack. */
  scan(pack: number): void {
    const file = this.fileOf(pack);
    const { size } = file;
    for (const found of file.scan(0, size)) {
      if (isBlock(found)) this.blocks.push({ pack, ...found });
      else
        this.damage.push({
          path: file.path,
          ...found,
          isCutOff: found.end === size && file.isCutOff(found.start),
        });
    }
  }

  /** Orders what was scanned, without the blocks in `voids`, which belong to no commit. */
  settle(voids: readonly PackSpan[]): void {
    const isVoid = ({ pack, start }: InventoryBlock) =>
      voids.some(
        (span) => span.pack === pack && start >= span.start && start < span.start + span.length,
      );
    for (const block of this.blocks) {
      if (isVoid(block)) continue;
      for (const run of runsOf(block)) this.#runs[block.directory.space]?.push(run);
    }
    for (const [space, runs] of this.#runs.entries()) {
      runs.sort((a, b) => a.first - b.first);
      const reach = new Float64Array(runs.length);
      for (let at = 0; at < runs.length; at++) {
        reach[at] = Math.max(at === 0 ? 0 : (reach[at - 1] as number), (runs[at] as Run).end);
      }
      this.#reach[space] = reach;
    }
  }

  /** The ids of a space, ascending; an id in several blocks occurs several times. */
  *ids(space: Space): Generator<number, void, undefined> {
    for (const { first, end } of this.#runs[space] ?? [])
      for (let id = first; id < end; id++) yield id;
  }

  /** One more than the largest id of a space, in any block. */
  nextId(space: Space): number {
    let next = 0;
    for (const { directory } of this.blocks) {
      if (directory.space === space) next = Math.max(next, (directory.ids.at(-1) ?? -1) + 1);
    }
    return next;
  }

  /** Sentences about what is unreadable and not in `voids`. */
  unreadable(voids: readonly PackSpan[]): string[] {
    const isVoid = (path: string, at: number) =>
      voids.some(
        ({ pack, start, length }) =>
          this.#files.get(pack)?.path === path && at >= start && at < start + length,
      );
    return this.damage
      .filter(({ path, start }) => !isVoid(path, start))
      .map(({ path, start, end, isCutOff }) =>
        isCutOff
          ? `${path} ends in the middle of a block, at byte ${start}: a commit was cut off ` +
            'there, or the file was cut short'
          : `${path} cannot be read from byte ${start} to ${end}`,
      );
  }

  /**
   * Reads a record. A rewrite or a repair leaves copies in several blocks: any copy that verifies
   * is good.
   *
   * @throws `CORRUPT` when no copy can be read, or two differ.
   */
  read(space: Space, id: number): SalvagedRecord {
    let reason: VarveError | undefined;
    let found: SalvagedRecord | undefined;
    for (const block of this.#holdersOf(space, id)) {
      try {
        const record = this.#readFrom(block, id);
        if (found !== undefined && !isSame(found, record)) {
          throw new VarveError(
            'CORRUPT',
            `${recordName(space, id)} is stored twice, with different content`,
          );
        }
        found = record;
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        reason = error;
        if (found !== undefined) throw error;
      }
    }
    if (found !== undefined) return found;
    throw reason ?? new VarveError('CORRUPT', `${recordName(space, id)} is in no readable block`);
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }

  #readFrom(block: InventoryBlock, id: number): SalvagedRecord {
    const { directory } = block;
    const slot = directory.slotOf(id);
    const stored = this.#payload(block).subarray(
      directory.offsets[slot],
      directory.offsets[slot + 1],
    );
    if (directory.space === SEGMENTS) {
      const address = directory.address(slot);
      const canonical = directory.isTokens(slot)
        ? unpackTokens(stored, `segment ${address}`)
        : stored;
      if (addressOf(canonical) !== address)
        throw new VarveError('CORRUPT', `segment ${address} is damaged`);
    }
    return { stored, directory, slot };
  }

  #payload(block: InventoryBlock): Uint8Array {
    let payload = this.#payloads.get(block);
    if (payload === undefined) {
      const file = this.fileOf(block.pack);
      const bytes = file.read(block.start, block.length);
      payload = decodeBlockPayload(bytes, block.directory, `${file.path} at byte ${block.start}`);
      this.#payloads.set(block, payload);
    }
    return payload;
  }

  *#holdersOf(space: Space, id: number): Generator<InventoryBlock, void, undefined> {
    const runs = this.#runs[space] ?? [];
    const reach = this.#reach[space] as Float64Array;
    let low = 0;
    let high = runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((runs[middle] as Run).first <= id) low = middle + 1;
      else high = middle;
    }
    for (let at = low - 1; at >= 0 && (reach[at] as number) > id; at--) {
      const run = runs[at] as Run;
      if (id < run.end) yield run.block;
    }
  }
}

function packsIn(root: string): { number: number; path: string }[] {
  try {
    return readdirSync(join(root, 'packs'))
      .filter((name) => /^\d{8,}\.pack$/.test(name))
      .map((name) => ({ number: Number.parseInt(name, 10), path: join(root, 'packs', name) }))
      .sort((a, b) => a.number - b.number);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return [];
    if (code !== 'ENOTDIR') throw error;
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${root} is a file, or its packs are: name the directory of a store`,
    );
  }
}

function* runsOf(block: InventoryBlock): Generator<Run, void, undefined> {
  const { ids } = block.directory;
  for (let at = 0; at < ids.length; ) {
    const first = ids[at] as number;
    let end = first + 1;
    for (at++; at < ids.length && ids[at] === end; at++) end++;
    yield { first, end, block };
  }
}

function isSame(a: SalvagedRecord, b: SalvagedRecord): boolean {
  if (a.directory.space === SEGMENTS)
    return a.directory.address(a.slot) === b.directory.address(b.slot);
  return Buffer.compare(a.stored, b.stored) === 0;
}
