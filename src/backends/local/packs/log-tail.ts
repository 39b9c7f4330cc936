import { isUnreadable } from '../../../core/errors.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { decodeLogRecord } from '../format/log-codec.ts';
import { type LogRecord, type TouchedRows, touchedBy } from '../format/log-record.ts';
import { LOG, type Space } from '../format/schema.ts';
import type { RecordStore } from './record-store.ts';

const NOTHING: TouchedRows = { deleted: [], changed: [] };

/**
 * Reads records of the log, and remembers what the newest one touched, which the next one repeats.
 */
export class LogTail {
  readonly #database: IndexDatabase;
  readonly #records: RecordStore;
  #latest: { readonly number: number; readonly touched: TouchedRows } | undefined;

  constructor(database: IndexDatabase, records: RecordStore) {
    this.#database = database;
    this.#records = records;
  }

  /** The number of the newest record; 0: there is none. */
  get newest(): number {
    return this.#database.meta('log');
  }

  /** What the newest record touched; `undefined` when it cannot be read. */
  touched(): TouchedRows | undefined {
    const { newest } = this;
    if (newest < Math.max(1, this.#database.meta('log_floor'))) return NOTHING;
    if (this.#latest?.number === newest) return this.#latest.touched;
    try {
      const record = this.read(newest);
      return record && touchedIn(record);
    } catch (error) {
      if (isUnreadable(error)) return undefined;
      throw error;
    }
  }

  /** Remembers the last record that the present transaction has written. */
  remember(number: number, record: LogRecord): void {
    this.#latest = { number, touched: touchedIn(record) };
  }

  /** Forgets the record of a rolled-back transaction, whose number will be reused. */
  forget(): void {
    this.#latest = undefined;
  }

  /**
   * Reads a record of the log; `undefined` when the index does not lead to it.
   *
   * @throws `CORRUPT` when it is damaged.
   */
  read(number: number): LogRecord | undefined {
    const place = this.#records.locate(LOG, number);
    if (place === undefined) return undefined;
    return decodeLogRecord(this.#records.stored(place), `record ${number} of the log`);
  }
}

/** A snapshot records what exists and changes nothing. */
function touchedIn({ covers, operations }: LogRecord): TouchedRows {
  return covers === undefined ? touchedBy(operations) : NOTHING;
}

/** Whether a record of the log adds nothing to later ones. */
export function isOutdated(
  { database }: { readonly database: IndexDatabase },
  { space }: { space: Space },
  record: number,
): boolean {
  return space === LOG && record < database.meta('log_floor');
}
