import { dirname } from 'node:path';
import { VarveError } from '../../../core/errors.ts';
import {
  APPLICATION_ID,
  CREATED,
  FILL_ZONES,
  FORMAT_VERSION,
  SCHEMA,
  ZONE_TABLE,
} from '../format/schema.ts';
import { assertNoPacks } from './index-file.ts';
import { migrate } from './migrations.ts';
import type { SqlConnection } from './sql-connection.ts';

/**
 * The format of the index at `path`; 0 when the file is still empty.
 *
 * @throws `INVALID_ARGUMENT` when it is another program's database, `UNSUPPORTED_FORMAT` when a
 *   newer Varve wrote it.
 */
export function readFormat(connection: SqlConnection, path: string): number {
  // In one snapshot: another process may be creating the tables.
  const { version, applicationId, tables } = connection.snapshot(() => ({
    version: connection.value<number>('PRAGMA user_version') ?? 0,
    applicationId: connection.value<number>('PRAGMA application_id'),
    tables: connection.value<number>('SELECT count(*) FROM sqlite_schema'),
  }));
  if (applicationId === 0 && version === 0 && tables === 0) return 0;
  if (applicationId !== APPLICATION_ID) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${path} is a SQLite database, but not the index of a Varve store`,
    );
  }
  if (version > FORMAT_VERSION) {
    throw new VarveError(
      'UNSUPPORTED_FORMAT',
      `${path} has store format ${version}; this version of Varve knows formats up to ` +
        `${FORMAT_VERSION}: install a newer version`,
    );
  }
  return version;
}

/** Creates the tables unless another process has. */
export function createSchema(connection: SqlConnection, path: string): void {
  exclusively(connection, () => {
    if (readFormat(connection, path) !== 0) return;
    assertNoPacks(dirname(path));
    connection.execute(SCHEMA);
    connection.execute(`PRAGMA application_id = ${APPLICATION_ID}`);
    connection.execute(`PRAGMA user_version = ${FORMAT_VERSION}`);
    connection.run('INSERT INTO header VALUES (?, ?)', CREATED, Date.now());
    connection.run('INSERT INTO header VALUES (?, ?)', 'log_floor', 1);
  });
}

/** Brings an older format up to this one, unless another process has. */
export function upgrade(connection: SqlConnection, path: string): void {
  exclusively(connection, () => {
    for (let version = readFormat(connection, path); version < FORMAT_VERSION; version++) {
      connection.execute(migrate(dirname(path), version));
      connection.execute(`PRAGMA user_version = ${version + 1}`);
    }
  });
}

/**
 * Adds the table of zones to an index without one, unless another process has. Older versions
 * keep it without knowing it, so it needs no format of its own.
 */
export function addZones(connection: SqlConnection): void {
  if (connection.hasTable('zone')) return;
  exclusively(connection, () => {
    if (connection.hasTable('zone')) return;
    connection.execute(ZONE_TABLE);
    connection.execute(FILL_ZONES);
  });
}

function exclusively(connection: SqlConnection, work: () => void): void {
  connection.execute('BEGIN IMMEDIATE');
  try {
    work();
    connection.execute('COMMIT');
  } catch (error) {
    if (connection.inTransaction) connection.execute('ROLLBACK');
    throw error;
  }
}
