/**
 * Imports a corpus into a store of objects, at once or one conversation at a time, and counts what
 * that asks of the service.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { importVarve } from '../support/library.mjs';
import { caseParameters } from '../support/process.mjs';

const { store: location, file, mode } = caseParameters();
const { openStore } = await importVarve();
const store = await openStore(location);
const opening = store.metrics()?.requests;
const begun = performance.now();
let conversations = 0;
if (mode === 'bulk') {
  conversations = (await store.importJsonl(createReadStream(file))).records;
} else {
  for await (const line of createInterface({ input: createReadStream(file) })) {
    await store.conversations.put(Buffer.from(line));
    conversations++;
  }
}
const ms = performance.now() - begun;
const metrics = store.metrics();
await store.close();
console.log(JSON.stringify({ conversations, ms, opening, ...metrics }));
