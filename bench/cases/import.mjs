/** Imports a file through the library, and reports the library's own times. */
import { createReadStream } from 'node:fs';
import { importVarve } from '../support/library.mjs';
import { caseParameters } from '../support/process.mjs';

const { store: location, file, local } = caseParameters();
const { openStore } = await importVarve();

const started = performance.now();
const store = await openStore(location, local === undefined ? {} : { local });
const opened = performance.now();
const report = await store.importJsonl(createReadStream(file, { highWaterMark: 1 << 20 }));
const imported = performance.now();
await store.close();
const closed = performance.now();

console.log(
  JSON.stringify({
    openMs: opened - started,
    importMs: imported - opened,
    closeMs: closed - imported,
    totalMs: closed - started,
    records: report.records,
    newSegments: report.newSegments,
    newBytes: report.newBytes,
  }),
);
