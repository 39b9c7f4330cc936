/**
 * What grows with the data, what is asked of a service, what blocks and what starts slowly: a
 * directory and a store of objects at several sizes, one large conversation, command lines. With
 * another build beside it (`--against DIST`), each step is done by both in turn, and every figure
 * says `before → after`.
 */
import { resolve } from 'node:path';
import { inTemporaryFolder } from '../support/files.mjs';
import { DIST } from '../support/library.mjs';
import * as appends from './scale/appends.mjs';
import * as directory from './scale/directory.mjs';
import * as large from './scale/large.mjs';
import * as objects from './scale/objects.mjs';
import * as service from './scale/service.mjs';
import * as start from './scale/start.mjs';
import * as verbs from './scale/verbs.mjs';

export const summary =
  'growth, requests, depth, stalls and start-up at several sizes (--full: to a million)';
export const options = /** @type {const} */ ({
  full: { type: 'boolean', default: false },
  against: { type: 'string' },
  only: { type: 'string' },
  latency: { type: 'string', default: '50' },
  seed: { type: 'string', default: '1' },
});

/** @type {Record<string, Part>} */
const PARTS = { directory, objects, verbs, appends, large, service, start };

/**
 * @typedef {object} Part
 * @property {(settings: Settings) => Promise<{ results: unknown, tables: string[] }>} measure
 */

/**
 * @typedef {object} Build
 * @property {string} label
 * @property {string} dist its folder
 */

/**
 * @typedef {object} Settings
 * @property {boolean} isFull
 * @property {number} latencyMs
 * @property {number} seed
 * @property {readonly Build[]} builds which are measured, in turn
 * @property {string} folder for whatever a part makes
 */

/**
 * @param {readonly unknown[]} _corpora
 * @param {{ full: boolean, against?: string, only?: string, latency: string, seed: string }} given
 */
export async function measure(_corpora, { full, against, only, latency, seed }) {
  const builds = [
    ...(against === undefined ? [] : [{ label: 'before', dist: resolve(against) }]),
    { label: 'after', dist: DIST },
  ];
  const names = only?.split(',') ?? Object.keys(PARTS);
  /** @type {Record<string, unknown>} */
  const results = {};
  const tables = [];
  for (const name of names) {
    const part = PARTS[name];
    if (part === undefined) throw new Error(`no part ${name}: ${Object.keys(PARTS).join(', ')}`);
    console.error(`scale: ${name}`);
    const measured = await inTemporaryFolder((folder) =>
      part.measure({
        isFull: full,
        latencyMs: Number(latency),
        seed: Number(seed),
        builds,
        folder,
      }),
    );
    results[name] = measured.results;
    tables.push(...measured.tables);
  }
  return { results, tables };
}
