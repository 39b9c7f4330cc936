/**
 * One step on a directory of many conversations, in this fresh process: `build` makes the store,
 * `read` lists and exports it, `delete` and `collect` change it.
 */
import { costOf } from '../support/cost.mjs';
import { importVarve } from '../support/library.mjs';
import { caseParameters } from '../support/process.mjs';
import { ConversationSource, syntheticId } from '../support/synthetic.mjs';

/** What a conversation looks like: 3.2 KB, of which a prompt of 1 KB is shared. */
const SHAPE = { messages: 9, messageBytes: 200, prompts: 64, promptBytes: 1024 };
const BATCH = 500;
/** This many conversations have the rare model. */
const RARE = 10;
const SINGLE_DELETES = 200;
const MOST_DELETES = 10_000;

const { step, store: location, size, seed, budgetMs, only } = caseParameters();
const { openStore } = await importVarve();
const opening = await costOf(() => openStore(location));
const store = opening.result;

/** @type {Record<string, number>} */
const figures = {};

/** @type {Record<string, () => Promise<void>>} */
const steps = {
  async build() {
    const every = Math.ceil(size / RARE);
    const modelOf = (/** @type {number} */ n) => (n % every === 7 ? 'rare' : `model-${n % 5}`);
    const source = new ConversationSource({ seed, modelOf, ...SHAPE });
    const { cpuMs } = await costOf(async () => {
      for (let stored = 0; stored < size; stored += BATCH)
        await store.importJsonl([source.next(Math.min(BATCH, size - stored))]);
    });
    figures['import, µs each'] = (cpuMs * 1000) / size;
  },

  async read() {
    figures['open, ms'] = opening.cpuMs;
    for (const order of /** @type {const} */ (['archived', 'newest', 'oldest']))
      await perRow(`ls, ${order}, µs a row`, store.conversations.list({ order }));
    await perRow(
      'ls GLOB of one in 16, µs a row looked at',
      store.conversations.list({ id: 'a*' }),
      16,
    );
    if (wanted('ls of a rare model, ms')) {
      const { cpuMs } = await costOf(async () => {
        const rows = await count(store.conversations.list({ model: 'rare' }));
        if (rows !== RARE) throw new Error(`${rows} have the rare model`);
      });
      figures['ls of a rare model, ms'] = cpuMs;
    }
    if (wanted('export, µs each')) {
      let exported = 0;
      const onProgress = (/** @type {{ conversations: number }} */ { conversations }) => {
        exported = conversations;
      };
      const end = performance.now() + budgetMs;
      const { cpuMs } = await costOf(() => count(store.exportJsonl({ onProgress }), end, 1));
      figures['export, µs each'] = (cpuMs * 1000) / exported;
    }
    if (wanted('du --by model, µs each')) {
      const { cpuMs } = await costOf(() => store.usageBreakdown({ by: 'model' }));
      figures['du --by model, µs each'] = (cpuMs * 1000) / size;
    }
  },

  async delete() {
    const many = Math.min(MOST_DELETES, Math.round(size / 50));
    const single = spread(SINGLE_DELETES, 0);
    const one = await costOf(async () => {
      for (const id of single)
        if (!(await store.conversations.delete(id))) throw new Error(`${id} was not there`);
    });
    figures['rm, one at a time, ms each'] = one.cpuMs / single.length;
    const ids = spread(many, 11);
    const all = await costOf(() => store.conversations.deleteMany(ids));
    if (all.result.length !== many) throw new Error(`${all.result.length} of ${many} were deleted`);
    figures['deleteMany of one in 50 (at most 10,000), ms each'] = all.cpuMs / many;
    figures['deleteMany, longest stall, ms'] = all.stallMs;
  },

  async collect() {
    const idle = await costOf(() => store.gc.run({ grace: 0 }));
    figures['gc after these deletes, CPU ms'] = idle.cpuMs;
    const full = await costOf(() => store.gc.run({ grace: 0, full: true }));
    figures['gc --full, CPU s'] = full.cpuMs / 1000;
    figures['gc --full, longest stall, ms'] = full.stallMs;
    figures['gc --full, MB freed'] = full.result.freedBytes / 1e6;
    const again = await costOf(() => store.gc.run({ grace: 0, full: true }));
    figures['gc --full again, CPU s'] = again.cpuMs / 1000;
  },
};

/** @param {string} name */
function wanted(name) {
  return only === undefined || new RegExp(only).test(name);
}

/**
 * CPU time a row of a list, of which no more is read than fits into the budget.
 *
 * @param {string} name
 * @param {AsyncGenerator<unknown>} list
 * @param {number} [lookedAt] rows that are looked at for each that is yielded
 */
async function perRow(name, list, lookedAt = 1) {
  if (!wanted(name)) return;
  const { cpuMs, result } = await costOf(() => count(list, performance.now() + budgetMs));
  figures[name] = (cpuMs * 1000) / (result * lookedAt);
}

/**
 * @param {AsyncIterable<unknown>} items
 * @param {number} [end] by `performance.now()`
 * @param {number} [every] how many items there are between two looks at the time
 */
async function count(items, end = Number.POSITIVE_INFINITY, every = 100) {
  let seen = 0;
  for await (const _ of items) if (++seen % every === 0 && performance.now() > end) break;
  return seen;
}

/**
 * Ids of conversations all over the store, in no order.
 *
 * @param {number} number
 * @param {number} offset
 */
function spread(number, offset) {
  const every = Math.floor(size / number);
  return Array.from({ length: number }, (_, at) => syntheticId(at * every + offset)).sort();
}

await steps[step]?.();
const closing = await costOf(() => store.close());
if (step === 'build') figures['close, ms'] = closing.cpuMs;
console.log(JSON.stringify(figures));
