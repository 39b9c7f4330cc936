/**
 * What the bytes of a local store are spent on. Reads the index, so it depends on the schema
 * (backends/local/schema.ts).
 */
import { join } from 'node:path';
import { weigh } from './files.mjs';
import { importSqliteDriver } from './library.mjs';

const { openSqlite } = await importSqliteDriver();

/**
 * @typedef {object} Breakdown
 * @property {number} bytes of all files
 * @property {number} allocated as `du` counts them
 * @property {number} files
 * @property {number} segmentBlocks bytes of the blocks of segments, their directories included
 * @property {number} bodyBlocks bytes of the blocks of manifest bodies
 * @property {number} index bytes of `varve.db`
 * @property {Record<string, number>} indexTables of that, by table and index, largest first
 * @property {number} segmentCount blocks of segments
 * @property {number} bodyCount blocks of manifest bodies
 */

/**
 * To be called when the store is closed.
 *
 * @param {string} store
 * @returns {Breakdown}
 */
export function breakDown(store) {
  const { bytes, allocated, files } = weigh(store);
  const database = openSqlite(join(store, 'varve.db'), { readonly: true });
  try {
    const blocks = database.prepare(
      'SELECT count(*) AS count, total(length) AS bytes FROM block WHERE space = ?',
    );
    const [segments, bodies] = [0, 1].map(
      (space) => /** @type {{ count: number, bytes: number }} */ (blocks.get(space)),
    );
    const tables = /** @type {{ name: string, bytes: number }[]} */ (
      database
        .prepare('SELECT name, sum(pgsize) AS bytes FROM dbstat GROUP BY name ORDER BY 2 DESC')
        .all()
    );
    return {
      bytes,
      allocated,
      files,
      segmentBlocks: segments?.bytes ?? 0,
      bodyBlocks: bodies?.bytes ?? 0,
      index: tables.reduce((total, table) => total + table.bytes, 0),
      indexTables: Object.fromEntries(tables.map((table) => [table.name, table.bytes])),
      segmentCount: segments?.count ?? 0,
      bodyCount: bodies?.count ?? 0,
    };
  } finally {
    database.close();
  }
}
