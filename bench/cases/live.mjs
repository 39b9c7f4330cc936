/**
 * Puts the conversations of a file, a commit each: `concurrency` at a time, each caller waiting for
 * its commit.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { importVarve } from '../support/library.mjs';
import { caseParameters } from '../support/process.mjs';
import { percentiles } from '../support/statistics.mjs';

const { store: location, file, concurrency } = caseParameters();
const { openStore } = await importVarve();
/** @type {string[]} */
const lines = [];
for await (const line of createInterface({
  input: createReadStream(file),
  crlfDelay: Number.POSITIVE_INFINITY,
})) {
  lines.push(line);
}

const store = await openStore(location);
const latencies = new Float64Array(lines.length);
let parsingMs = 0;
let next = 0;
const started = performance.now();
await Promise.all(Array.from({ length: concurrency }, caller));
const ms = performance.now() - started - parsingMs;
await store.close();
console.log(
  JSON.stringify({
    puts: lines.length,
    ms,
    perSecond: lines.length / (ms / 1000),
    latencyMs: percentiles(latencies),
  }),
);

async function caller() {
  for (let at = next++; at < lines.length; at = next++) {
    const before = performance.now();
    const conversation = JSON.parse(lines[at] ?? '');
    const parsed = performance.now();
    parsingMs += parsed - before;
    await store.conversations.put(conversation);
    latencies[at] = performance.now() - parsed;
  }
}
