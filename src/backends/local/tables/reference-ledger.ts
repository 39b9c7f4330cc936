import type { IndexDatabase } from '../database/index-database.ts';
import { SEGMENTS, type Space, SWEPT } from '../format/schema.ts';

/**
 * Counts references to records. A stored record has one by default; only other counts have a row.
 *
 * Invariant L1: the count of a segment equals the number of manifest entries whose body references
 * it. Changes are collected during a transaction and written once per record, at its end.
 */
export class ReferenceLedger {
  readonly #database: IndexDatabase;
  readonly #changes = new Map<number, number>();

  constructor(database: IndexDatabase) {
    this.#database = database;
  }

  /** The number of references to a record; {@link SWEPT} when it is gone for good. */
  count(space: Space, record: number): number {
    return (
      this.#database.value<number>(
        'SELECT refs FROM state WHERE space = ? AND record = ?',
        space,
        record,
      ) ?? 1
    );
  }

  /** Adds `change` to the number of entries that reference a segment. */
  add(segment: number, change: number): void {
    this.#changes.set(segment, (this.#changes.get(segment) ?? 0) + change);
  }

  /**
   * Writes the collected changes. Segments from `firstNew` on were stored by this transaction and
   * start at 0.
   */
  settle(firstNew: number, now: number): void {
    for (const [segment, change] of this.#changes) {
      const before = segment >= firstNew ? 0 : this.count(SEGMENTS, segment);
      if (change !== 0 || segment >= firstNew) this.set(SEGMENTS, segment, before + change, now);
    }
    this.#changes.clear();
  }

  /** Discards the collected changes of a transaction that does not commit. */
  discard(): void {
    this.#changes.clear();
  }

  /** Sets a count; at 0 the record becomes garbage as of `now`. */
  set(space: Space, record: number, refs: number, now: number): void {
    if (refs === 1) {
      this.#database.run('DELETE FROM state WHERE space = ? AND record = ?', space, record);
      return;
    }
    this.#database.run(
      `INSERT INTO state (space, record, refs, since) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET refs = excluded.refs, since = excluded.since`,
      space,
      record,
      refs,
      refs === 0 ? now : null,
    );
  }

  /**
   * Marks a record as gone for good if nothing has referenced it since `cutoff` (ms); returns
   * whether it did.
   */
  sweep(space: Space, record: number, cutoff: number): boolean {
    const { changes } = this.#database.run(
      'UPDATE state SET refs = ?, since = NULL WHERE space = ? AND record = ? AND refs = 0 ' +
        'AND since <= ?',
      SWEPT,
      space,
      record,
      cutoff,
    );
    return changes > 0;
  }
}
