import type { Address } from '../../../core/address.ts';
import type { BlockRecord } from '../format/block.ts';
import { SEGMENTS } from '../format/schema.ts';
import type { BlockStager } from '../packs/block-stager.ts';
import { joinExtents, takeOver } from '../packs/extents.ts';
import type { LocalIndex } from '../tables/local-index.ts';

/**
 * Damaged segments whose bytes a writer has brought again; they are stored under the record ids
 * that they had.
 *
 * Invariant L5: a record id stands for one address for ever. So a good copy under the same id heals
 * every manifest that references it, counts and fingerprints stay right, and the damaged copy is
 * dead space in its block.
 */
export class Healing {
  readonly #index: LocalIndex;
  readonly #records = new Map<number, BlockRecord>();

  constructor(index: LocalIndex) {
    this.#index = index;
  }

  /** Whether a record is damaged and nobody has brought its bytes yet. */
  needs(record: number): boolean {
    return this.#index.damaged.has(record) && !this.#records.has(record);
  }

  /** Takes bytes as blocks store them; the caller has checked that they hash to the address. */
  take(record: number, address: Address, bytes: Uint8Array, tokens: boolean): void {
    this.#records.set(record, { id: record, address, bytes, tokens });
  }

  get isEmpty(): boolean {
    return this.#records.size === 0;
  }

  /** Writes what was taken into blocks, and makes the index lead there. */
  finish(stager: BlockStager, blockBytes: number): void {
    if (this.isEmpty) return;
    let block: BlockRecord[] = [];
    let gathered = 0;
    for (const record of [...this.#records.values()].sort((a, b) => a.id - b.id)) {
      if (gathered > 0 && gathered + record.bytes.length > blockBytes) {
        this.#write(stager, block);
        block = [];
        gathered = 0;
      }
      block.push(record);
      gathered += record.bytes.length;
    }
    this.#write(stager, block);
    this.#index.bumpEpoch();
  }

  #write(stager: BlockStager, records: readonly BlockRecord[]): void {
    const { database, records: store } = this.#index;
    // Look up where the damaged copies are before the index leads elsewhere.
    const places = records.map(({ id }) => store.locate(SEGMENTS, id));
    const target = stager.write(records);
    records.forEach(({ id }, at) => {
      const place = places[at];
      if (place !== undefined) {
        const length = place.directory.storedLength(place.slot);
        database.run(
          'UPDATE block SET dead = dead + ?, records = records - 1 WHERE id = ?',
          length,
          place.block.id,
        );
      }
      takeOver(database, SEGMENTS, id, target);
      database.run('DELETE FROM damage WHERE record = ?', id);
    });
    joinExtents(database, SEGMENTS, target);
    store.forgetPlaces();
  }
}
