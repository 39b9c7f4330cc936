/**
 * Random `get` of single conversations, in ms, three ways:
 * - cold: each id once in a process that has just opened the store; caches fill on the way;
 * - warm: the same ids again;
 * - uncached: each id on a store opened for it alone, which has only looked for an id that is not
 *   there, so that SQLite knows its schema; not one block is cached by the process. The opening is
 *   not timed.
 *
 * The operating system's page cache is warm in all three.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inTemporaryFolder } from '../support/files.mjs';
import { runCase } from '../support/process.mjs';
import { randomIds } from '../support/random-ids.mjs';
import { spread } from '../support/statistics.mjs';
import { fixed, ranged, table } from '../support/table.mjs';

export const summary = 'latency of reading single conversations at random';
export const options = /** @type {const} */ ({
  repetitions: { type: 'string', default: '3' },
  count: { type: 'string', default: '2000' },
  seed: { type: 'string', default: '1' },
});

const PASSES = /** @type {const} */ (['cold', 'warm', 'uncached']);
const FIGURES = /** @type {const} */ (['p50', 'p90', 'p99', 'max']);

/**
 * @param {readonly import('../support/files.mjs').Corpus[]} corpora
 * @param {{ repetitions: string, count: string, seed: string }} given
 */
export async function measure(corpora, given) {
  const results = [];
  for (const corpus of corpora)
    results.push(await inTemporaryFolder((folder) => measureCorpus(corpus, given, folder)));
  const rows = results.flatMap(({ corpus, passes }) =>
    PASSES.map((pass) => [
      corpus.name,
      pass,
      ...FIGURES.map((figure) => ranged(passes[pass][figure], (ms) => fixed(ms, 3))),
    ]),
  );
  return {
    results,
    tables: [
      table(`get of ${given.count} random ids, in ms`, ['corpus', 'pass', ...FIGURES], rows),
    ],
  };
}

/**
 * @param {import('../support/files.mjs').Corpus} corpus
 * @param {{ repetitions: string, count: string, seed: string }} given
 * @param {string} folder
 */
async function measureCorpus({ path, ...corpus }, given, folder) {
  const store = join(folder, 'store');
  const idsFile = join(folder, 'ids.json');
  await runCase('import', { store, file: path });
  writeFileSync(
    idsFile,
    JSON.stringify(await randomIds(store, Number(given.count), Number(given.seed))),
  );
  /** @type {any[]} */
  const rounds = [];
  for (let round = 0; round < Number(given.repetitions); round++) {
    console.error(`${corpus.name}: round ${round + 1} of ${given.repetitions}`);
    rounds.push((await runCase('get', { store, idsFile })).result);
  }
  const passes = Object.fromEntries(
    PASSES.map((pass) => [
      pass,
      Object.fromEntries(
        FIGURES.map((figure) => [figure, spread(rounds.map((round) => round[pass][figure]))]),
      ),
    ]),
  );
  return {
    corpus,
    openMs: spread(rounds.map(({ openMs }) => openMs)),
    passes: /** @type {Passes} */ (passes),
  };
}

/**
 * @typedef {Record<typeof PASSES[number], Record<typeof FIGURES[number], ReturnType<typeof
 * spread>>>} Passes
 */
