import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../../core/errors.ts';
import {
  DAMAGE_TABLE,
  HOLD_TABLE,
  LEASE_TABLE,
  OWNED_PACKS,
  REPORT_TABLE,
  VOID_TABLE,
} from '../format/schema.ts';
import { isWriterAlive } from './writer-lock.ts';

/** How an index of one format version becomes one of the next. */
interface Migration {
  readonly sql: string;
  /**
   * What a reader that may not write puts before the older index, so that queries find what they
   * name.
   */
  readonly standIn: string;
  /** Whether writers of the older format do not keep what the newer one relies on. */
  readonly needsNoWriters: boolean;
}

/** By the version that is left behind. */
const MIGRATIONS: Readonly<Record<number, Migration>> = {
  // Writers of format 1 do not look whether their pack was sealed by somebody else.
  1: {
    sql: DAMAGE_TABLE,
    standIn: DAMAGE_TABLE.replace('CREATE TABLE', 'CREATE TEMP TABLE'),
    needsNoWriters: true,
  },
  // Writers of format 2 keep no log. The new name of `meta` is a fence for those that are open
  // without a lock: every transaction of theirs reads it, and fails. The log begins with a
  // snapshot, which the next collection writes.
  2: {
    sql: `ALTER TABLE meta RENAME TO header;
      ${VOID_TABLE}${OWNED_PACKS}${HOLD_TABLE}${REPORT_TABLE}${LEASE_TABLE}
      INSERT INTO header VALUES ('log_run', 1);`,
    standIn: `CREATE TEMP VIEW header AS SELECT * FROM main.meta;
      ${VOID_TABLE.replace('CREATE TABLE', 'CREATE TEMP TABLE')}`,
    needsNoWriters: true,
  },
};

/** The table that `header` was in an index of that version. */
export function headerTable(version: number): 'meta' | 'header' {
  return version < 3 ? 'meta' : 'header';
}

/**
 * The statements that take an index from `version` to the next.
 *
 * @throws `BUSY` while a process of an older version may write to the store, `UNSUPPORTED_FORMAT`
 *   when there is no way.
 */
export function migrate(root: string, version: number): string {
  const migration = of(version);
  if (migration.needsNoWriters && hasWriters(root)) {
    throw new VarveError(
      'BUSY',
      `the store at ${root} has format ${version} and is being written to by an older ` +
        'Varve: close that process, so that the store can be upgraded',
    );
  }
  return migration.sql;
}

/**
 * The statements that let a connection without the right to write read an index of `version`; none
 * for the present one.
 */
export function standInFor(version: number): string {
  const versions = Object.keys(MIGRATIONS).map(Number);
  return versions
    .filter((each) => each >= version)
    .map((each) => of(each).standIn)
    .join('');
}

function of(version: number): Migration {
  const migration = MIGRATIONS[version];
  if (migration === undefined) {
    throw new VarveError(
      'UNSUPPORTED_FORMAT',
      `store format ${version} is not known to this version of Varve: it was never released`,
    );
  }
  return migration;
}

function hasWriters(root: string): boolean {
  const folder = join(root, 'locks');
  if (!existsSync(folder)) return false;
  const names = readdirSync(folder).filter((name) => name.endsWith('.lock'));
  return names.some((name) => isWriterAlive(root, name.slice(0, -'.lock'.length)));
}
