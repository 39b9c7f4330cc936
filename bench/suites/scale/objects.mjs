/** A store of objects with many heads: lists and small writes. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { runCase } from '../../support/process.mjs';
import { requestTable } from './request-table.mjs';

const SIZES = [1_000, 10_000];
const FULL_SIZES = [...SIZES, 100_000, 1_000_000];

/** Small enough that a million fit into memory. */
const SHAPE = { messages: 1, messageBytes: 60 };

/** @param {import('../scale.mjs').Settings} settings */
export async function measure({ isFull, latencyMs, seed, builds, folder }) {
  const results = [];
  const tables = [];
  for (const heads of isFull ? FULL_SIZES : SIZES) {
    const figures = await steps(['build', 'list', 'write'], builds, folder, {
      heads,
      seed,
      shape: SHAPE,
    });
    results.push({ heads, figures });
    tables.push(requestTable(`Objects: ${heads} conversations`, figures, latencyMs));
  }
  return { results, tables };
}

/**
 * The figures of each build, by verb.
 *
 * @param {readonly string[]} names
 * @param {readonly import('../scale.mjs').Build[]} builds
 * @param {string} folder
 * @param {object} parameters
 */
export async function steps(names, builds, folder, parameters) {
  /** @type {Record<string, import('./request-table.mjs').Verb>[]} */
  const figures = builds.map(() => ({}));
  for (const step of names) {
    for (const [at, { label, dist }] of builds.entries()) {
      const file = join(folder, label);
      const { result } = await runCase(
        'scale-objects',
        { step, file, ...parameters },
        // The objects are in the memory of the process, too.
        { VARVE_DIST: dist, NODE_OPTIONS: '--max-old-space-size=12000' },
      );
      Object.assign(figures[at] ?? {}, result);
    }
  }
  for (const { label } of builds) rmSync(join(folder, label));
  return figures;
}
