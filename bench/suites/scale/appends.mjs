/** Appends to a conversation that grows, on a store of objects. */
import { runCase } from '../../support/process.mjs';
import { table } from '../../support/table.mjs';
import { compared } from './compare.mjs';

const LENGTHS = [100, 1_000];
const FULL_LENGTHS = [...LENGTHS, 2_000, 10_000];

/** @param {import('../scale.mjs').Settings} settings */
export async function measure({ isFull, seed, builds }) {
  const lengths = isFull ? FULL_LENGTHS : LENGTHS;
  /** @type {Record<string, Record<string, number>>[]} */
  const figures = [];
  for (const { dist } of builds)
    figures.push((await runCase('scale-append', { lengths, seed }, { VARVE_DIST: dist })).result);
  const columns = [
    'messages',
    'requests',
    'KB up',
    'KB down',
    'CPU ms',
    'KB up, mean so far',
    'requests, 1 new segment',
    'KB up, 1 new segment',
  ];
  const rows = lengths.map((length) => {
    const cell = (/** @type {string} */ name, unit = 1) =>
      compared(figures.map((ofBuild) => (ofBuild[length]?.[name] ?? Number.NaN) / unit));
    return [
      length,
      cell('requests'),
      cell('bytesUp', 1000),
      cell('bytesDown', 1000),
      cell('cpuMs'),
      cell('bytesUpSoFar', 1000),
      cell('segmentRequests'),
      cell('segmentBytesUp', 1000),
    ];
  });
  return {
    results: { lengths, figures },
    tables: [table('Objects: an append of 300 bytes, by the length before', columns, rows)],
  };
}
