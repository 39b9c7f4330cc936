/**
 * Appends messages of 300 bytes, and now and then one of 6,000, to one conversation on a store of
 * objects in memory, up to each of the given lengths, and reports what one more costs there.
 */

import { costOf } from '../support/cost.mjs';
import { CountedMemory } from '../support/counted-memory.mjs';
import { importVarve } from '../support/library.mjs';
import { caseParameters } from '../support/process.mjs';
import { ConversationSource } from '../support/synthetic.mjs';

/** Appends that are counted at each length. */
const WINDOW = 32;

const { lengths, seed } = caseParameters();
const sources = {
  short: new ConversationSource({ seed, messages: 1, messageBytes: 300 }),
  long: new ConversationSource({ seed: seed + 1, messages: 1, messageBytes: 6000 }),
};
const { openStore } = await importVarve();
const memory = await CountedMemory.install();
const store = await openStore('memory:append');
await store.conversations.put({ id: 'long', model: 'synthetic', messages: [message('short')] });

let length = 1;
/** @type {Record<string, object>} */
const figures = {};
for (const wanted of lengths) {
  const grown = await counted(wanted - WINDOW - length, 'short');
  const { requests, bytesUp, bytesDown, cpuMs } = await counted(WINDOW, 'short');
  const segment = await counted(1, 'long');
  figures[wanted] = {
    requests,
    bytesUp,
    bytesDown,
    cpuMs,
    bytesUpSoFar: grown.bytesUp,
    segmentRequests: segment.requests,
    segmentBytesUp: segment.bytesUp,
  };
  console.error(`${wanted} messages: ${JSON.stringify(figures[wanted])}`);
}
await store.close();
console.log(JSON.stringify(figures));

/**
 * Means of this many appends.
 *
 * @param {number} count
 * @param {keyof typeof sources} size
 */
async function counted(count, size) {
  memory.reset();
  const { cpuMs } = await costOf(async () => {
    for (let added = 0; added < count; added++, length++)
      await store.conversations.append('long', [message(size)]);
  });
  const { bytesUp, bytesDown } = memory.counts;
  return {
    requests: memory.requests / count,
    bytesUp: bytesUp / count,
    bytesDown: bytesDown / count,
    cpuMs: cpuMs / count,
  };
}

/** @param {keyof typeof sources} size */
function message(size) {
  return JSON.parse(sources[size].next(1).toString()).messages[0];
}
