import type { ManifestHold } from '../../contract/manifests.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { HOLD_TABLE } from '../format/schema.ts';

/** The holds on manifests, by row id; row ids are never reused. */
export class HoldTable {
  readonly #database: IndexDatabase;
  /**
   * Whether the index is known to have the table: a store from before there were holds gets it with
   * its first hold.
   */
  #exists = false;

  constructor(database: IndexDatabase) {
    this.#database = database;
  }

  get exists(): boolean {
    this.#exists ||= this.#database.hasTable('hold');
    return this.#exists;
  }

  find(manifest: number): ManifestHold | undefined {
    if (!this.exists) return undefined;
    const row = this.#database.get<{ since: number; reason: string | null }>(
      'SELECT since, reason FROM hold WHERE manifest = ?',
      manifest,
    );
    return row && { since: row.since, ...(row.reason !== null && { reason: row.reason }) };
  }

  place(manifest: number, { since, reason }: ManifestHold): void {
    if (!this.exists) this.#database.execute(HOLD_TABLE);
    this.#database.run(
      'INSERT INTO hold VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET since = excluded.since, ' +
        'reason = excluded.reason',
      manifest,
      since,
      reason ?? null,
    );
  }

  release(manifest: number): void {
    this.#database.run('DELETE FROM hold WHERE manifest = ?', manifest);
  }

  /** Forgets what a rolled-back transaction may have added. */
  invalidate(): void {
    this.#exists = false;
  }
}
