import { existsSync, lstatSync, rmSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import type { DoctorFinding } from '../../contract/rescue.ts';
import { connect, connectToCopy } from '../database/connect.ts';
import type { Database } from '../database/sqlite-driver.ts';
import { packPath } from '../files/pack-files.ts';
import { INDEX_FILE } from '../files/store-folder.ts';
import { APPLICATION_ID, FORMAT_VERSION } from '../format/schema.ts';

interface PackRow {
  readonly id: number;
  readonly size: number;
}

const REBUILD = 'rebuild the store from its packs with varve salvage, or restore it from a backup';

/**
 * Compares the sizes of packs with the index. Connecting to an index that nobody has open would
 * leave a log and shared memory beside it, so that one is copied first.
 */
export function examineIndex(
  root: string,
  entries: readonly { readonly path: string; readonly status: Stats }[],
): DoctorFinding[] {
  const path = join(root, INDEX_FILE);
  const fault = (message: string, remedy: string, paths = [path]): DoctorFinding => {
    return { kind: 'index', message, paths, remedy, harmful: true };
  };
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return [fault(`${path} is missing`, REBUILD)];
  // Links have a finding of their own.
  if (!status.isFile()) return [];
  let packs: PackRow[];
  try {
    const { connection, copy } = openUnchanged(path);
    try {
      const version = pragma(connection, 'user_version');
      if (pragma(connection, 'application_id') !== APPLICATION_ID) {
        return [
          fault(`${path} is not the index of a Varve store`, 'name the directory of a store'),
        ];
      }
      if (version > FORMAT_VERSION) {
        return [
          fault(
            `${path} has format ${version}, this Varve knows up to ${FORMAT_VERSION}`,
            'install a newer one',
          ),
        ];
      }
      packs = connection.prepare('SELECT id, size FROM pack ORDER BY id').all() as PackRow[];
    } finally {
      connection.close();
      if (copy !== undefined) rmSync(copy, { recursive: true, force: true });
    }
  } catch (error) {
    const { code = '', message } = error as { code?: string; message: string };
    if (!code.startsWith('SQLITE_')) throw error;
    return [fault(`${path} cannot be read: ${message}`, REBUILD)];
  }
  return [...packFaults(root, packs), ...strayPacks(root, packs, entries)];
}

function openUnchanged(path: string): { connection: Database; copy: string | undefined } {
  return existsSync(`${path}-shm`) ? connect(path, true) : connectToCopy(path);
}

function pragma(connection: Database, name: string): number {
  return (
    Object.values(connection.prepare(`PRAGMA ${name}`).get() as Record<string, number>)[0] ?? 0
  );
}

/**
 * Packs only grow, and are removed after the index has dropped them: a pack shorter than the index
 * says is damaged.
 */
function packFaults(root: string, packs: readonly PackRow[]): DoctorFinding[] {
  return packs.flatMap(({ id, size }) => {
    const path = packPath(root, id);
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (size === 0 || (status !== undefined && (!status.isFile() || status.size >= size)))
      return [];
    const message =
      status === undefined
        ? `${path} is missing: the index counts ${size} bytes of it`
        : `${path} has ${status.size} of the ${size} bytes that the index counts`;
    return [
      {
        kind: 'pack',
        message,
        paths: [path],
        remedy: 'audit the store, which says what it held',
        harmful: true,
      },
    ];
  });
}

function strayPacks(
  root: string,
  packs: readonly PackRow[],
  entries: readonly { readonly path: string; readonly status: Stats }[],
): DoctorFinding[] {
  const known = new Set(packs.map(({ id }) => packPath(root, id)));
  const newest = packs.at(-1)?.id ?? 0;
  return entries.flatMap(({ path }) => {
    const [, number] = /(\d{8,})\.pack$/.exec(path) ?? [];
    if (number === undefined || dirname(path) !== join(root, 'packs') || known.has(path)) return [];
    // A pack created since the index was read is newer than all in the index.
    const isNewer = Number(number) > newest;
    const message =
      `${path} is a pack that the index does not ` +
      `know${isNewer ? '; it is newer than all it knows' : ''}`;
    const remedy = isNewer
      ? 'if no process writes just now, the index may be older than the packs: audit the ' +
        'store before anything else'
      : 'audit the store';
    return [{ kind: 'pack', message, paths: [path], remedy, harmful: isNewer }];
  });
}
