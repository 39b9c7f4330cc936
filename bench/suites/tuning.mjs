/**
 * What the settings of a local store cost and gain: each of them varied alone, the others at their
 * defaults; block size of segments and compression level together. Latencies are those of the
 * uncached pass of the suite `get`.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { breakDown } from '../support/breakdown.mjs';
import { inTemporaryFolder } from '../support/files.mjs';
import { runCase } from '../support/process.mjs';
import { randomIds } from '../support/random-ids.mjs';
import { quantile } from '../support/statistics.mjs';
import { fixed, megabytes, table } from '../support/table.mjs';

export const summary = 'block sizes, compression level and inline threshold: bytes, time, latency';
export const options = /** @type {const} */ ({
  repetitions: { type: 'string', default: '3' },
  count: { type: 'string', default: '300' },
  seed: { type: 'string', default: '1' },
});

const KIB = 1024;

/** @type {{ name: string, settings: Record<string, number>[] }[]} */
const SCANS = [
  {
    name: 'segment blocks × zstd level',
    settings: [64, 128, 256, 512, 1024].flatMap((size) =>
      [3, 6, 9].map((compressionLevel) => ({ segmentBlockBytes: size * KIB, compressionLevel })),
    ),
  },
  {
    name: 'blocks of bodies',
    settings: [256, 512, 1024, 2048].map((size) => ({ bodyBlockBytes: size * KIB })),
  },
  { name: 'inlineBelow', settings: [128, 256, 512, 1024].map((inlineBelow) => ({ inlineBelow })) },
];

/**
 * @param {readonly import('../support/files.mjs').Corpus[]} corpora
 * @param {{ repetitions: string, count: string, seed: string }} given
 */
export async function measure(corpora, given) {
  const results = [];
  for (const corpus of corpora) {
    for (const { name, settings } of SCANS) {
      console.error(`${corpus.name}: ${name}`);
      results.push({
        corpus: withoutPath(corpus),
        scan: name,
        rows: await scan(corpus.path, settings, given),
      });
    }
  }
  return {
    results,
    tables: results.map(({ corpus, scan: name, rows }) => tableOf(`${corpus.name}: ${name}`, rows)),
  };
}

/** @param {import('../support/files.mjs').Corpus} corpus */
function withoutPath({ path: _, ...corpus }) {
  return corpus;
}

/**
 * Every repetition goes through all settings, so that a noisy moment does not fall on one of them
 * alone.
 *
 * @param {string} file
 * @param {readonly Record<string, number>[]} settings
 * @param {{ repetitions: string, count: string, seed: string }} given
 */
async function scan(file, settings, given) {
  /** @type {Awaited<ReturnType<typeof measureSetting>>[][]} */
  const rounds = [];
  for (let round = 0; round < Number(given.repetitions); round++) {
    const row = [];
    for (const local of settings)
      row.push(await inTemporaryFolder((folder) => measureSetting(file, local, given, folder)));
    rounds.push(row);
  }
  return settings.map((local, at) => {
    const measured = rounds.map(
      (row) => /** @type {Awaited<ReturnType<typeof measureSetting>>} */ (row[at]),
    );
    const median = (/** @type {(one: typeof measured[number]) => number} */ of) =>
      quantile(measured.map(of), 0.5);
    return {
      local,
      store: measured[0]?.store,
      importMs: median(({ importMs }) => importMs),
      cpuMs: median(({ cpuMs }) => cpuMs),
      getP50: median(({ get }) => get.p50),
      getP99: median(({ get }) => get.p99),
    };
  });
}

/**
 * @param {string} file
 * @param {Record<string, number>} local
 * @param {{ count: string, seed: string }} given
 * @param {string} folder
 */
async function measureSetting(file, local, given, folder) {
  const store = join(folder, 'store');
  const idsFile = join(folder, 'ids.json');
  const { result, run } = await runCase('import', { store, file, local });
  const weight = breakDown(store);
  writeFileSync(
    idsFile,
    JSON.stringify(await randomIds(store, Number(given.count), Number(given.seed))),
  );
  const { result: read } = await runCase('get', { store, idsFile });
  return { store: weight, importMs: result.totalMs, cpuMs: run.cpuMs, get: read.uncached };
}

/**
 * @param {string} title
 * @param {Awaited<ReturnType<typeof scan>>} rows
 */
function tableOf(title, rows) {
  const settings = Object.keys(rows[0]?.local ?? {});
  return table(
    title,
    [
      ...settings,
      'store MB',
      'segments',
      'bodies',
      'index',
      'import ms',
      'CPU ms',
      'get p50 ms',
      'p99',
    ],
    rows.map(({ local, store, importMs, cpuMs, getP50, getP99 }) => [
      ...settings.map((name) => `${local[name]}`),
      megabytes(store?.bytes ?? Number.NaN),
      megabytes(store?.segmentBlocks ?? Number.NaN),
      megabytes(store?.bodyBlocks ?? Number.NaN),
      megabytes(store?.index ?? Number.NaN),
      fixed(importMs, 0),
      fixed(cpuMs, 0),
      fixed(getP50, 2),
      fixed(getP99, 2),
    ]),
  );
}
