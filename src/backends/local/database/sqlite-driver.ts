/**
 * The SQLite driver. better-sqlite3 13 carries prebuilt binaries, but crashes the process where
 * Node lacks Node-API 10; better-sqlite3 12 aborts the process on Node 24.19 and newer, as soon as
 * a connection is collected (nodejs/node#65446). npm installs the major that fits, by its
 * `engines`. A lock file holds one major only, so projects that run on Node 20 and on newer ones
 * from one lock file install 12 under a second name. Everything else imports SQLite from here.
 */
import { createRequire } from 'node:module';
import type BetterSqlite from 'better-sqlite3';
import { VarveError } from '../../../core/errors.ts';

export type Database = BetterSqlite.Database;
export type RunResult = BetterSqlite.RunResult;
export type Statement = BetterSqlite.Statement;

/** The names under which the driver is looked for, in this order. */
const NAMES = ['better-sqlite3', 'better-sqlite3-node20'];

/** What {@link chooseDriver} looks at. */
export interface Runtime {
  /** As in `process.versions`: without the "v". */
  readonly node: string;
  readonly napi: string;
}

export interface InstalledDriver {
  readonly name: string;
  readonly version: string;
}

const require = createRequire(import.meta.url);
let driver: typeof BetterSqlite | undefined;

/**
 * Opens a connection; throws errors of SQLite as they are.
 *
 * @throws `IO` as {@link sqliteDriver} does.
 */
export function openSqlite(path: string, options?: BetterSqlite.Options): Database {
  return new (sqliteDriver())(path, options);
}

/** Whether another connection has the lock that a statement needs. */
export function isBusy(error: unknown): boolean {
  return String((error as { code?: unknown }).code).startsWith('SQLITE_BUSY');
}

/**
 * The class of connections. Loaded with the first call.
 *
 * @throws `IO` when no driver is installed that runs on this Node; the message says what to
 *   install.
 */
export function sqliteDriver(): typeof BetterSqlite {
  driver ??= loadDriver();
  return driver;
}

/**
 * The name of the first driver that runs on this Node.
 *
 * @throws `IO` when there is none; the message says what to install.
 */
export function chooseDriver(installed: readonly InstalledDriver[], runtime: Runtime): string {
  const faults: string[] = [];
  for (const { name, version } of installed) {
    const fault = faultOf(version, runtime);
    if (fault === undefined) return name;
    faults.push(`${name} ${version} ${fault}`);
  }
  const reason = faults.length === 0 ? 'better-sqlite3 is not installed' : faults.join('; ');
  throw new VarveError(
    'IO',
    `no SQLite driver for Node ${runtime.node}: ${reason}. ${remedy(runtime)}`,
  );
}

function loadDriver(): typeof BetterSqlite {
  const { node, napi = '' } = process.versions;
  const name = chooseDriver(NAMES.flatMap(installedAs), { node, napi });
  try {
    const loaded: typeof BetterSqlite = require(name);
    // The native part is loaded with the first connection.
    new loaded(':memory:').close();
    return loaded;
  } catch (cause) {
    const detail = String((cause as Error).message)
      .split('\n')
      .slice(0, 2)
      .join(' ');
    throw new VarveError(
      'IO',
      `the SQLite driver ${name} cannot be loaded (${detail}). Let npm run its install ` +
        `script: npm rebuild ${name}`,
      { cause },
    );
  }
}

function installedAs(name: string): InstalledDriver[] {
  try {
    const { version }: { version: string } = require(`${name}/package.json`);
    return [{ name, version }];
  } catch {
    return [];
  }
}

/** Why that version must not be loaded, if so: it would end the process, not throw. */
function faultOf(version: string, runtime: Runtime): string | undefined {
  if (major(version) >= 13) return hasNodeApi10(runtime) ? undefined : 'needs Node 22.14 or newer';
  return major(runtime.node) >= 24 ? 'does not run on Node 24 and newer' : undefined;
}

function remedy(runtime: Runtime): string {
  if (hasNodeApi10(runtime)) return 'Run: npm install better-sqlite3@13.2.0';
  return (
    'Install Node 22.14 or newer, or run: npm install ' +
    'better-sqlite3-node20@npm:better-sqlite3@12.11.1'
  );
}

function hasNodeApi10({ napi }: Runtime): boolean {
  return Number(napi) >= 10;
}

function major(version: string): number {
  return Number.parseInt(version, 10);
}
