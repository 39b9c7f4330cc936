/** What it costs to start a command line, beyond what Node itself costs. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpuTimeOf } from '../../support/cpu-time.mjs';
import { cliOf } from '../../support/library.mjs';
import { run } from '../../support/process.mjs';
import { ConversationSource, syntheticId } from '../../support/synthetic.mjs';
import { table } from '../../support/table.mjs';
import { compared } from './compare.mjs';

const ROUNDS = 10;
const CONVERSATIONS = 100;

const COMMANDS = {
  '--version': ['--version'],
  ls: ['ls', '--limit', '1'],
  cat: ['cat', syntheticId(0)],
  '--help': ['--help'],
};

/** @param {import('../scale.mjs').Settings} settings */
export async function measure({ seed, builds, folder }) {
  const lines = join(folder, 'lines.jsonl');
  const source = new ConversationSource({ seed, messages: 4, messageBytes: 300 });
  writeFileSync(lines, source.next(CONVERSATIONS));
  const node = cpuTimes();
  const figures = builds.map(() => cpuTimes());
  for (const { label, dist } of builds)
    await run([process.execPath, cliOf(dist), '-s', join(folder, label), 'import', '-q', lines]);
  for (let round = 0; round < ROUNDS; round++) {
    node.note('node', cpuTimeOf([process.execPath, '-e', '0']));
    for (const [at, { label, dist }] of builds.entries()) {
      const cli = [process.execPath, cliOf(dist), '--store', join(folder, label)];
      for (const [name, command] of Object.entries(COMMANDS))
        figures[at]?.note(name, cpuTimeOf([...cli, ...command]));
    }
  }
  const bare = node.least['node'] ?? Number.NaN;
  const beyond = figures.map(({ least }) =>
    Object.fromEntries(Object.entries(least).map(([name, ms]) => [name, ms - bare])),
  );
  const rows = Object.keys(COMMANDS).map((name) => [
    name,
    compared(beyond.map((ofBuild) => ofBuild[name])),
  ]);
  return {
    results: { nodeMs: bare, beyondNodeMs: beyond },
    tables: [
      table(
        `Start-up, best of ${ROUNDS}; bare Node ${bare.toFixed(0)}`,
        ['', 'CPU ms beyond it'],
        rows,
      ),
    ],
  };
}

/** Keeps the least of several measurements: what disturbs only ever adds. */
function cpuTimes() {
  /** @type {Record<string, number>} */
  const least = {};
  return {
    least,
    note: (/** @type {string} */ name, /** @type {number} */ ms) => {
      least[name] = Math.min(least[name] ?? Number.POSITIVE_INFINITY, ms);
    },
  };
}
