/** One conversation of 40 MB: through the library, and through the command line. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cliOf } from '../../support/library.mjs';
import { run, runCase } from '../../support/process.mjs';
import { ConversationSource } from '../../support/synthetic.mjs';
import { table } from '../../support/table.mjs';
import { compared } from './compare.mjs';

const MEGABYTES = 40;
const SHAPES = { 'in messages of 4 KB': 4_000, 'in messages of 8 MB': 8_000_000 };
const STALL_HOOK = fileURLToPath(new URL('../../support/stall-hook.mjs', import.meta.url));

/** @param {import('../scale.mjs').Settings} settings */
export async function measure({ isFull, seed, builds, folder }) {
  const results = [];
  const tables = [];
  for (const [shape, messageBytes] of Object.entries(SHAPES)) {
    /** @type {Record<string, Record<string, number>>[]} */
    const library = [];
    /** @type {Record<string, number>[]} */
    const stalls = [];
    for (const { label, dist } of builds) {
      console.error(`${MEGABYTES} MB ${shape}: ${label}`);
      const repetitions = isFull ? 5 : 1;
      const parameters = { megabytes: MEGABYTES, messageBytes, repetitions, seed };
      library.push((await runCase('scale-large', parameters, { VARVE_DIST: dist })).result);
      stalls.push(
        await commandStalls(dist, join(folder, `${label}-${messageBytes}`), messageBytes),
      );
    }
    results.push({ shape, library, stalls });
    const rows = Object.keys(library.at(-1) ?? {}).map((verb) => {
      const cell = (/** @type {string} */ name) =>
        compared(library.map((ofBuild) => ofBuild[verb]?.[name]));
      return [verb, cell('ms'), cell('stallMs'), cell('ratio')];
    });
    const commandRows = Object.keys(stalls.at(-1) ?? {}).map((name) => [
      name,
      compared(stalls.map((ofBuild) => ofBuild[name])),
    ]);
    const title = `${MEGABYTES} MB ${shape}`;
    const columns = ['', 'ms', 'longest stall, ms', 'beside JSON'];
    tables.push(
      table(`${title}, in a directory`, columns, rows),
      table(`${title}, command lines`, ['', 'longest stall, ms'], commandRows),
    );
  }
  return { results, tables };
}

/**
 * How long each command blocks its event loop. Start-up blocks it, too: that is what those of a
 * small conversation show.
 *
 * @param {string} dist
 * @param {string} store
 * @param {number} messageBytes
 */
async function commandStalls(dist, store, messageBytes) {
  const messages = Math.round((MEGABYTES * 1e6) / messageBytes);
  const line = new ConversationSource({ seed: 1, messages, messageBytes }).next(1);
  const { id } = JSON.parse(line.toString());
  const file = (/** @type {string} */ name, /** @type {string | Uint8Array} */ content) => {
    const path = `${store}.${name}`;
    writeFileSync(path, content);
    return path;
  };
  const log = file('stalls', '');
  const message = JSON.stringify([{ role: 'user', content: 'And then?' }]);
  /** @type {Record<string, string[]>} */
  const commands = {
    'put of a small one': ['put', file('small.json', '{"id":"small","messages":[]}')],
    import: ['import', '-q', file('large.jsonl', line)],
    'cat of a small one': ['cat', 'small'],
    cat: ['cat', id],
    get: ['get', id],
    export: ['export'],
    append: ['append', id, file('message.json', message)],
  };
  for (const command of Object.values(commands)) {
    const cli = [process.execPath, '--import', STALL_HOOK, cliOf(dist), '--store', store];
    await run([...cli, ...command], { env: { BENCH_STALLS: log }, stdoutFile: '/dev/null' });
  }
  const stalls = readFileSync(log, 'utf8').trim().split('\n').map(Number);
  return Object.fromEntries(
    Object.keys(commands).map((name, at) => [name, stalls[at] ?? Number.NaN]),
  );
}
