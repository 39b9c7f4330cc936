/**
 * Fills a store with segments, deletes a share of them spread evenly, and measures one step of
 * maintenance in this fresh process: `fill` makes the store, `gc` is an everyday collection,
 * `audit` verifies all but the bytes themselves.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { importVarve } from '../support/library.mjs';
import { caseParameters } from '../support/process.mjs';
import { ConversationSource } from '../support/synthetic.mjs';

const {
  step,
  store: location,
  conversations,
  messages,
  messageBytes,
  batch,
  every,
  seed,
} = caseParameters();
const { openStore } = await importVarve();
const store = await openStore(location, { local: { inlineBelow: 256 } });

/** @type {Record<string, () => Promise<unknown>>} */
const steps = {
  /** Every `every`th conversation is deleted. */
  async fill() {
    const source = new ConversationSource({ seed, messages, messageBytes });
    for (let stored = 0; stored < conversations; stored += batch)
      await store.importJsonl([source.next(batch)]);
    // As a store that has been maintained: blocks are full.
    await store.gc.run({ grace: 0, full: true });
    const ids = [];
    let number = 0;
    for await (const { id } of store.conversations.list()) if (number++ % every === 0) ids.push(id);
    for (let start = 0; start < ids.length; start += 500) {
      await store.conversations.deleteMany(ids.slice(start, start + 500));
    }
    const { segments, garbageSegments, storedBytes, indexBytes } = await store.usage();
    return { segments, garbageSegments, storedBytes, indexBytes };
  },
  async gc() {
    return store.gc.run({ grace: 0 });
  },
  async plan() {
    return store.gc.plan({ grace: 0 });
  },
  async audit() {
    const audit = store.audit({ sample: 0 });
    let next = await audit.next();
    while (!next.done) next = await audit.next();
    return next.value;
  },
};

const started = performance.now();
const result = await /** @type {() => Promise<unknown>} */ (steps[step])();
const tookMs = performance.now() - started;
await store.close();
const packBytes = readdirSync(join(location, 'packs')).reduce(
  (total, name) => total + statSync(join(location, 'packs', name)).size,
  0,
);
console.log(
  JSON.stringify({
    step,
    tookMs,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    packBytes,
    result,
  }),
);
