import type { CollectSettings } from '../../contract/collection.ts';

/** A shard takes this many consecutive records, because neighbours are in the same blocks. */
const SHARD_RECORDS = 4096;

/** The share of the work that a collection does, and its deadline. */
export class CollectScope {
  /** This share, from 0, of {@link count}. */
  readonly index: number;
  readonly count: number;
  readonly #end: number;

  constructor({ shard, deadlineMs }: Pick<CollectSettings, 'shard' | 'deadlineMs'>) {
    this.index = shard?.index ?? 0;
    this.count = shard?.count ?? 1;
    this.#end = performance.now() + deadlineMs;
  }

  get hasDeadline(): boolean {
    return this.#end < Number.POSITIVE_INFINITY;
  }

  /** Whether no further step may begin. */
  get isOver(): boolean {
    return performance.now() >= this.#end;
  }

  /** Whether this share does the work that concerns the whole store. */
  get isFirst(): boolean {
    return this.index === 0;
  }

  /** Whether a pack or a manifest belongs to this share. */
  hasNumber(id: number): boolean {
    return id % this.count === this.index;
  }

  hasRecord(record: number): boolean {
    return Math.floor(record / SHARD_RECORDS) % this.count === this.index;
  }

  /** The SQL condition for {@link hasRecord} of a column. */
  recordCondition(column: string): string {
    return this.count === 1
      ? 'TRUE'
      : `(${column} / ${SHARD_RECORDS}) % ${this.count} = ${this.index}`;
  }

  /** The SQL condition for {@link hasNumber} of a column. */
  numberCondition(column: string): string {
    return this.count === 1 ? 'TRUE' : `${column} % ${this.count} = ${this.index}`;
  }
}

/**
 * A sweep takes garbage that lost its last reference up to this time; without a grace it takes all
 * garbage, whatever clocks say.
 */
export function cutoffOf(now: number, graceMs: number): number {
  return graceMs === 0 ? Number.MAX_SAFE_INTEGER : now - graceMs;
}
