/**
 * Runs a suite of benchmarks: `npm run bench -- <suite> [options] <corpus.jsonl…>`. See README.md
 * beside this file.
 *
 * Tables go to standard output; everything measured, with the facts of the machine, goes as JSON to
 * `bench/results/<suite>.json`, or to the file that `--out` names.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as corpora from './suites/corpora.mjs';
import * as get from './suites/get.mjs';
import * as growth from './suites/growth.mjs';
import * as live from './suites/live.mjs';
import * as maintenance from './suites/maintenance.mjs';
import * as memory from './suites/memory.mjs';
import * as objects from './suites/objects.mjs';
import * as price from './suites/price.mjs';
import * as scale from './suites/scale.mjs';
import * as tuning from './suites/tuning.mjs';
import { describeCorpus } from './support/files.mjs';
import { machineFacts } from './support/machine.mjs';

/**
 * @typedef {object} Suite
 * @property {string} summary
 * @property {import('node:util').ParseArgsConfig['options']} options
 * @property {(corpora: import('./support/files.mjs').Corpus[], options: any) => Promise<{ results:
 *   unknown, tables: string[] }>} measure
 */

/** @type {Record<string, Suite>} */
const SUITES = { corpora, get, growth, live, maintenance, memory, objects, price, scale, tuning };

const [name = '', ...args] = process.argv.slice(2);
const suite = SUITES[name];
if (suite === undefined) {
  const list = Object.entries(SUITES).map(
    ([suiteName, { summary }]) => `  ${suiteName.padEnd(11)} ${summary}`,
  );
  console.error(`usage: npm run bench -- <suite> [options] [corpus.jsonl…]\n\n${list.join('\n')}`);
  process.exit(2);
}

const { values, positionals } = parseArgs({
  args,
  allowPositionals: true,
  options: { ...suite.options, out: { type: 'string' } },
});
const described = [];
for (const path of positionals) described.push(await describeCorpus(path));
const machine = machineFacts();
const { results, tables } = await suite.measure(described, values);

const out =
  typeof values['out'] === 'string'
    ? resolve(values['out'])
    : fileURLToPath(new URL(`results/${name}.json`, import.meta.url));
mkdirSync(dirname(out), { recursive: true });
writeFileSync(
  out,
  `${JSON.stringify({ suite: name, options: values, machine, results }, null, 2)}\n`,
);
console.log(
  `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, Varve ${machine.varve} ` +
    `${machine.commit ?? ''}`,
);
for (const text of tables) console.log(text);
console.error(`Everything measured is in ${out}`);
