import { isUnreadable } from '../../../core/errors.ts';
import type { Space } from '../format/schema.ts';
import type { LocalIndex } from './local-index.ts';

/** Bytes of records, summed by the blocks that contain them. */
export class DeadBytes {
  readonly byBlock = new Map<number, number>();

  /**
   * Adds a record's bytes; returns their number: 0 for an unreadable record, which an audit
   * reports.
   */
  add(index: LocalIndex, space: Space, record: number): number {
    try {
      const place = index.records.locate(space, record);
      if (place === undefined) return 0;
      const length = place.directory.storedLength(place.slot);
      this.byBlock.set(place.block.id, (this.byBlock.get(place.block.id) ?? 0) + length);
      return length;
    } catch (error) {
      if (isUnreadable(error)) return 0;
      throw error;
    }
  }
}
