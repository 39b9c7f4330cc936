/** Reads conversations at random; see suites/get.mjs for what the passes mean. */
import { readFileSync } from 'node:fs';
import { importVarve } from '../support/library.mjs';
import { caseParameters } from '../support/process.mjs';
import { percentiles } from '../support/statistics.mjs';

const { store: location, idsFile } = caseParameters();
/** @type {string[]} */
const ids = JSON.parse(readFileSync(idsFile, 'utf8'));
const { openStore } = await importVarve();

const opening = performance.now();
const store = await openStore(location, { readOnly: true });
const openMs = performance.now() - opening;
const cold = await read(store);
const warm = await read(store);
await store.close();

const uncached = new Float64Array(ids.length);
for (const [at, id] of ids.entries()) {
  const fresh = await openStore(location, { readOnly: true });
  // Lets SQLite read the schema, and touches no block.
  await fresh.conversations.get('an id that is not stored');
  uncached[at] = await timed(fresh, id);
  await fresh.close();
}

console.log(
  JSON.stringify({
    openMs,
    cold: percentiles(cold),
    warm: percentiles(warm),
    uncached: percentiles(uncached),
  }),
);

/** @param {import('../../src/store.ts').Store} from */
async function read(from) {
  const latencies = new Float64Array(ids.length);
  for (const [at, id] of ids.entries()) latencies[at] = await timed(from, id);
  return latencies;
}

/**
 * @param {import('../../src/store.ts').Store} from
 * @param {string} id
 */
async function timed(from, id) {
  const started = performance.now();
  const conversation = await from.conversations.get(id);
  const took = performance.now() - started;
  if (conversation === undefined) throw new Error(`${id} is not stored`);
  return took;
}
