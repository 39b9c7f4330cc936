/**
 * One conversation of many megabytes through the library, in a directory: how long each verb takes
 * beside `JSON.parse` or `JSON.stringify` of the same text, and how long it blocks the event loop.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { costOf } from '../support/cost.mjs';
import { importVarve } from '../support/library.mjs';
import { caseParameters } from '../support/process.mjs';
import { quantile } from '../support/statistics.mjs';
import { ConversationSource } from '../support/synthetic.mjs';

const { megabytes, messageBytes, repetitions, seed } = caseParameters();
const { openStore } = await importVarve();
const folder = mkdtempSync(join(process.env['BENCH_TMPDIR'] ?? tmpdir(), 'varve-bench-'));
const messages = Math.round((megabytes * 1e6) / messageBytes);
const source = new ConversationSource({ seed, messages, messageBytes });

/** @type {Record<string, { ms: number[], stall: number[], ratio: number[] }>} */
const measured = {};
for (let round = 0; round < repetitions; round++) {
  // Another text each time, or the segments would be there already.
  const line = Buffer.from(source.next(1));
  const text = line.toString('latin1');
  const parsing = await costOf(async () => JSON.parse(text));
  const value = parsing.result;
  const stringifying = await costOf(async () => JSON.stringify(value).length);
  const store = await openStore(join(folder, `store-${round}`));
  const { conversations } = store;
  const id = value.id;

  /**
   * @param {string} name
   * @param {() => Promise<unknown>} work
   * @param {number} [besideMs]
   */
  const note = async (name, work, besideMs) => {
    const { wallMs, stallMs } = await costOf(work);
    measured[name] ??= { ms: [], stall: [], ratio: [] };
    const kept = measured[name];
    kept.ms.push(wallMs);
    kept.stall.push(stallMs);
    if (besideMs !== undefined) kept.ratio.push(wallMs / besideMs);
  };
  await note('put(object)', () => conversations.put(value), stringifying.wallMs);
  await note('get', () => conversations.get(id), parsing.wallMs);
  await note('get, warm', () => conversations.get(id), parsing.wallMs);
  await note('getBytes', () => conversations.getBytes(id));
  await note('append of one message', () => conversations.append(id, [value.messages[0]]));
  await note('export', () => drain(store.exportJsonl({ ids: [id] })));
  await store.close();
  const other = await openStore(join(folder, `other-${round}`));
  await note('put(bytes)', () => other.conversations.put(line));
  await other.conversations.delete(id);
  await other.gc.run({ grace: 0, full: true });
  await note('import', () => other.importJsonl([line]));
  await other.close();
}
rmSync(folder, { recursive: true });
console.log(
  JSON.stringify(
    Object.fromEntries(
      Object.entries(measured).map(([name, { ms, stall, ratio }]) => [
        name,
        {
          ms: quantile(ms, 0.5),
          stallMs: quantile(stall, 0.5),
          ...(ratio.length > 0 && { ratio: quantile(ratio, 0.5) }),
        },
      ]),
    ),
  ),
);

/** @param {AsyncIterable<unknown>} items */
async function drain(items) {
  for await (const _ of items);
}
