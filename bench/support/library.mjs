/**
 * Which build of Varve is measured: `dist/` of this project, or the folder that `VARVE_DIST` names.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

export const DIST = process.env['VARVE_DIST'] ?? join(PROJECT, 'dist');

/** The command line's script. */
export const CLI = cliOf(DIST);

/**
 * The command line's script of a build.
 *
 * @param {string} dist
 */
export function cliOf(dist) {
  return join(dist, 'cli', 'main.js');
}

/** @returns {Promise<typeof import('../../src/index.ts')>} */
export async function importVarve() {
  const entry = join(DIST, 'index.js');
  if (!existsSync(entry))
    throw new Error(`there is no build in ${DIST}: run npm run build, or set VARVE_DIST`);
  return import(pathToFileURL(entry).href);
}

/**
 * A module of a build that the package does not export.
 *
 * @param {string} path below `src/`, without an extension.
 * @param {string} dist
 */
export async function importInternal(path, dist = DIST) {
  const file = join(dist, `${path}.js`);
  if (!existsSync(file))
    throw new Error(`the build in ${dist} has no ${path}: run npm run build -- --internals`);
  return import(pathToFileURL(file).href);
}

/**
 * The SQLite driver of this project's build.
 *
 * @returns {Promise<typeof import('../../src/backends/local/database/sqlite-driver.ts')>}
 */
export async function importSqliteDriver() {
  return importInternal('backends/local/database/sqlite-driver', join(PROJECT, 'dist'));
}
