/**
 * What an imported conversation costs as the store grows: synthetic conversations of ten messages
 * of 320 bytes, each a new segment, imported in batches of 256, a commit each. Every row is about
 * the conversations since the row before; the first 5,000 warm the process up and are not part of
 * the ratio.
 */
import { join } from 'node:path';
import { inTemporaryFolder } from '../support/files.mjs';
import { runCase } from '../support/process.mjs';
import { fixed, megabytes, table } from '../support/table.mjs';

export const summary =
  'time per imported conversation as the store grows (--full: to a million, takes minutes)';
export const options = /** @type {const} */ ({
  full: { type: 'boolean', default: false },
  conversations: { type: 'string' },
  seed: { type: 'string', default: '1' },
});

const WARM_UP = 5_000;
const FIRST = 10_000;
const SHAPE = { batch: 256, messages: 10, messageBytes: 320 };

/**
 * @typedef {object} Row
 * @property {number} conversations
 * @property {number} usPerConversation
 * @property {number} cpuUsPerConversation
 * @property {number} generatorUsPerConversation
 * @property {{ p50: number, p99: number, max: number }} batchMs
 * @property {number} rssBytes
 * @property {number} peakRssBytes
 * @property {number} indexBytes
 * @property {number} walBytes
 * @property {number} packBytes
 */

/**
 * @param {readonly unknown[]} _corpora
 * @param {{ full: boolean, conversations?: string, seed: string }} given
 */
export async function measure(_corpora, { full, conversations, seed }) {
  const target = conversations === undefined ? (full ? 1_000_000 : 80_000) : Number(conversations);
  const sizes = [WARM_UP];
  for (let size = FIRST; size < target; size *= 2) sizes.push(size);
  sizes.push(Math.max(target, FIRST));
  console.error(`growing to ${target} conversations`);
  const rows = await inTemporaryFolder(async (folder) => {
    const { result } = await runCase('growth', {
      store: join(folder, 'store'),
      sizes,
      seed: Number(seed),
      ...SHAPE,
    });
    return /** @type {Row[]} */ (result);
  });
  const [, first, ...others] = rows;
  const last = others.at(-1) ?? first;
  if (first === undefined || last === undefined) throw new Error('nothing was measured');
  const results = {
    shape: SHAPE,
    rows,
    lastOverFirst: last.usPerConversation / first.usPerConversation,
    lastOverFirstCpu: last.cpuUsPerConversation / first.cpuUsPerConversation,
  };
  const title =
    `Import of new conversations; last ÷ first ${fixed(results.lastOverFirst, 2)} by the ` +
    `clock, ${fixed(results.lastOverFirstCpu, 2)} in CPU time`;
  const columns = [
    'stored',
    'µs each',
    'CPU µs',
    'generator µs',
    'batch p50 ms',
    'p99',
    'max',
    'RSS MB',
    'index MB',
    'WAL MB',
    'packs MB',
  ];
  return {
    results,
    tables: [
      table(
        title,
        columns,
        rows.map((row) => [
          row.conversations,
          fixed(row.usPerConversation, 0),
          fixed(row.cpuUsPerConversation, 0),
          fixed(row.generatorUsPerConversation, 0),
          fixed(row.batchMs.p50, 1),
          fixed(row.batchMs.p99, 1),
          fixed(row.batchMs.max, 0),
          fixed(row.rssBytes / 1e6, 0),
          megabytes(row.indexBytes),
          megabytes(row.walBytes),
          megabytes(row.packBytes),
        ]),
      ),
    ],
  };
}
