/**
 * A store on S3: requests, bytes and time to import a corpus, at once and one conversation at a
 * time, beside the plain design; and many writers of one segment, beside a loop that reads,
 * increments and writes.
 */
import { randomUUID } from 'node:crypto';
import { runCase } from '../support/process.mjs';
import { fixed, megabytes, seconds, table } from '../support/table.mjs';

export const summary = 'a store on S3: requests, bytes, time and contention, beside a plain design';
export const options = /** @type {const} */ ({
  store: { type: 'string' },
  writers: { type: 'string', default: '64' },
  puts: { type: 'string', default: '8' },
  segments: { type: 'string', default: '10000' },
});

const MODES = ['bulk', 'single', 'plain'];

/**
 * @param {readonly import('../support/files.mjs').Corpus[]} corpora
 * @param {{ store?: string, writers: string, puts: string, segments: string }} given
 */
export async function measure(corpora, { store, writers, puts, segments }) {
  if (store === undefined) {
    throw new Error(
      "say --store 's3://bucket/prefix?endpoint=…': a bucket for trials, with credentials " +
        'in the environment',
    );
  }
  const imports = [];
  for (const { path: file, ...corpus } of corpora) {
    for (const mode of MODES) {
      console.error(`${corpus.name}: ${mode}`);
      const name = mode === 'plain' ? 'plain-objects' : 'objects';
      const { result } = await runCase(name, { store: below(store), file, mode });
      imports.push({ corpus, mode, ...result });
    }
  }
  const contention = [];
  for (const mode of ['varve', 'plain']) {
    console.error(`${writers} writers: ${mode}`);
    const parameters = { store: below(store), writers: Number(writers), puts: Number(puts), mode };
    contention.push({ mode, ...(await runCase('contention', parameters)).result });
  }
  console.error(`collecting among ${segments} segments`);
  const collecting = (
    await runCase('collect-objects', { store: below(store), segments: Number(segments) })
  ).result;
  const collectRows = ['delete', 'collect', 'walk'].map((step) => {
    const { requests, ms } = collecting[step];
    return [step, sum(requests), ...Object.values(requests), seconds(ms)];
  });
  const rows = imports.map(
    ({ corpus, mode, conversations, requests, opening, bytesUp, bytesDown, ms }) => {
      const total = sum(requests) - sum(opening ?? {});
      const verbs = Object.entries(requests).map(([verb, count]) => count - (opening?.[verb] ?? 0));
      return [
        corpus.name,
        mode,
        fixed(total / conversations, 2),
        ...verbs,
        megabytes(bytesUp),
        megabytes(bytesDown),
        seconds(ms),
      ];
    },
  );
  const columns = [
    'corpus',
    'import',
    'requests each',
    'GET',
    'HEAD',
    'PUT',
    'DELETE',
    'LIST',
    'MB up',
    'MB down',
    's',
  ];
  const raceRows = contention.map(({ mode, attempts, failures, references, perSecond }) => [
    mode,
    attempts,
    failures,
    references,
    fixed(perSecond, 0),
  ]);
  return {
    results: { imports, contention, collecting },
    tables: [
      table('Imports, opening not counted', columns, rows),
      table(
        `${writers} writers of one segment`,
        ['', 'attempts', 'failed', 'counted', 'a second'],
        raceRows,
      ),
      table(
        `${collecting.garbage} garbage segments among ${segments}`,
        ['', 'requests', 'GET', 'HEAD', 'PUT', 'DELETE', 'LIST', 's'],
        collectRows,
      ),
    ],
  };
}

/**
 * A prefix of its own, so that no run meets what another left.
 *
 * @param {string} location
 */
function below(location) {
  const [path = '', query] = location.split('?');
  return `${path.replace(/\/$/, '')}/bench-${randomUUID()}${query === undefined ? '' : `?${query}`}`;
}

/** @param {Record<string, number>} requests */
function sum(requests) {
  return Object.values(requests).reduce((total, count) => total + count, 0);
}
