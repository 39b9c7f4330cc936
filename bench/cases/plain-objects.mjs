/**
 * Imports a corpus by the plain design, one conversation at a time: see support/plain-design.mjs.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { openPlain } from '../support/plain-design.mjs';
import { caseParameters } from '../support/process.mjs';

const { store: location, file } = caseParameters();
const plain = await openPlain(location);
const begun = performance.now();
let conversations = 0;
for await (const line of createInterface({ input: createReadStream(file) })) {
  await plain.put(JSON.parse(line));
  conversations++;
}
const ms = performance.now() - begun;
await plain.close();
console.log(JSON.stringify({ conversations, ms, ...plain.metrics() }));
