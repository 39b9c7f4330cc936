/**
 * Conversations put one by one, as an application or gateway archives them, each durable before its
 * caller goes on: rate and size with one caller and with 16, then the size after maintenance
 * (`varve gc --full`), beside a bulk import.
 */
import { join } from 'node:path';
import { breakDown } from '../support/breakdown.mjs';
import { inTemporaryFolder } from '../support/files.mjs';
import { CLI } from '../support/library.mjs';
import { run, runCase } from '../support/process.mjs';
import { fixed, megabytes, seconds, table } from '../support/table.mjs';

export const summary = 'one conversation a commit: rate, size, and what maintenance makes of it';
export const options = /** @type {const} */ ({});

const CALLERS = [1, 16];

/** @param {readonly import('../support/files.mjs').Corpus[]} corpora */
export async function measure(corpora) {
  const results = [];
  for (const corpus of corpora)
    results.push(await inTemporaryFolder((folder) => measureCorpus(corpus, folder)));
  const rows = results.flatMap(({ corpus, bulk, live }) =>
    live.map((one) => [
      corpus.name,
      one.callers,
      fixed(one.perSecond, 0),
      fixed(one.latencyMs.p50, 2),
      fixed(one.latencyMs.p99, 2),
      megabytes(one.before.bytes),
      megabytes(one.after.bytes),
      seconds(one.gcMs),
      megabytes(bulk.bytes),
      fixed(one.before.bytes / bulk.bytes, 2),
      fixed(one.afterOverBulk, 2),
    ]),
  );
  const columns = [
    'corpus',
    'callers',
    'puts/s',
    'p50 ms',
    'p99',
    'MB',
    'MB after gc',
    'gc s',
    'MB bulk',
    '÷ bulk',
    '÷ bulk after gc',
  ];
  return { results, tables: [table('Live puts, one conversation a commit', columns, rows)] };
}

/**
 * @param {import('../support/files.mjs').Corpus} corpus
 * @param {string} folder
 */
async function measureCorpus({ path: file, ...corpus }, folder) {
  await runCase('import', { store: join(folder, 'bulk'), file });
  const bulk = breakDown(join(folder, 'bulk'));
  const live = [];
  for (const callers of CALLERS) {
    console.error(`${corpus.name}: ${callers} callers`);
    const store = join(folder, `live-${callers}`);
    const { result } = await runCase('live', { store, file, concurrency: callers });
    const before = breakDown(store);
    const { wallMs: gcMs } = await run([
      process.execPath,
      CLI,
      'gc',
      '--full',
      '--quiet',
      '--store',
      store,
    ]);
    const after = breakDown(store);
    live.push({ callers, ...result, gcMs, before, after, afterOverBulk: after.bytes / bulk.bytes });
  }
  return { corpus, bulk, live };
}
