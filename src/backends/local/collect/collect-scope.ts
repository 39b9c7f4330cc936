import type { CollectSettings } from '../../contract/maintenance.ts';

/** Records with neighbouring ids lie in the same blocks: a shard takes this many in a row. */
const SHARD_RECORDS = 4096;

/** Which share of the work a collection does, and for how long. */
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

  /** Whether no further step is to begin. */
  get isOver(): boolean {
    return performance.now() >= this.#end;
  }

  /** Whether what concerns the whole store, rather than a record or a pack, falls to this share. */
  get isFirst(): boolean {
    return this.index === 0;
  }

  /** Whether a pack or a manifest falls to it. */
  hasNumber(id: number): boolean {
    return id % this.count === this.index;
  }

  hasRecord(record: number): boolean {
    return Math.floor(record / SHARD_RECORDS) % this.count === this.index;
  }

  /** A condition of SQL that says the same as {@link hasRecord} of a column. */
  recordCondition(column: string): string {
    return this.count === 1
      ? 'TRUE'
      : `(${column} / ${SHARD_RECORDS}) % ${this.count} = ${this.index}`;
  }

  /** A condition of SQL that says the same as {@link hasNumber} of a column. */
  numberCondition(column: string): string {
    return this.count === 1 ? 'TRUE' : `${column} % ${this.count} = ${this.index}`;
  }
}

/**
 * Since when at least nothing may have referenced what is swept; without a grace all garbage is,
 * whatever clocks say.
 */
export function cutoffOf(now: number, graceMs: number): number {
  return graceMs === 0 ? Number.MAX_SAFE_INTEGER : now - graceMs;
}
