/**
 * Imports synthetic conversations, a commit for every batch, and reports what they cost up to each
 * of the given sizes.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { importVarve } from '../support/library.mjs';
import { caseParameters } from '../support/process.mjs';
import { quantile } from '../support/statistics.mjs';
import { ConversationSource } from '../support/synthetic.mjs';

const { store: location, sizes, batch, messages, messageBytes, seed } = caseParameters();
const { openStore } = await importVarve();
const source = new ConversationSource({ seed, messages, messageBytes });
// Every message is to be a segment: the index is what is measured.
const store = await openStore(location, { local: { inlineBelow: 256 } });

const rows = [];
let stored = 0;
for (const size of sizes) {
  const before = stored;
  const times = { importMs: 0, generatorMs: 0, cpuUs: 0 };
  const batches = [];
  while (stored < size) {
    const started = performance.now();
    const lines = source.next(batch);
    const generated = performance.now();
    const cpu = process.cpuUsage();
    const { created, newSegments } = await store.importJsonl([lines]);
    const { user, system } = process.cpuUsage(cpu);
    const took = performance.now() - generated;
    if (created !== batch || newSegments !== batch * messages)
      throw new Error(`a batch stored ${created} and ${newSegments}`);
    times.generatorMs += generated - started;
    times.importMs += took;
    times.cpuUs += user + system;
    batches.push(took);
    stored += batch;
  }
  const imported = stored - before;
  rows.push({
    conversations: stored,
    usPerConversation: (times.importMs * 1000) / imported,
    cpuUsPerConversation: times.cpuUs / imported,
    generatorUsPerConversation: (times.generatorMs * 1000) / imported,
    batchMs: {
      p50: quantile(batches, 0.5),
      p99: quantile(batches, 0.99),
      max: Math.max(...batches),
    },
    rssBytes: process.memoryUsage().rss,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    indexBytes: statSync(join(location, 'varve.db')).size,
    walBytes: statSync(join(location, 'varve.db-wal'), { throwIfNoEntry: false })?.size ?? 0,
    packBytes: folderBytes(join(location, 'packs')),
  });
  const { conversations, usPerConversation } = rows.at(-1) ?? {};
  console.error(`${conversations} conversations, ${usPerConversation?.toFixed(0)} µs each`);
}
await store.close();
console.log(JSON.stringify(rows));

/** @param {string} folder */
function folderBytes(folder) {
  return readdirSync(folder).reduce((total, name) => total + statSync(join(folder, name)).size, 0);
}
