/**
 * One step on a store of objects in this process's memory, whose requests are counted and answered
 * in rounds (see `rounds.mjs`): `build` makes the objects and keeps them in a file, the others work
 * on what the file holds. Each verb opens the store, works and closes it, as a process would that
 * does nothing else.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { costOf, usedBytes } from '../support/cost.mjs';
import { CountedMemory } from '../support/counted-memory.mjs';
import { importVarve } from '../support/library.mjs';
import { caseParameters } from '../support/process.mjs';
import { ConversationSource, syntheticId } from '../support/synthetic.mjs';

const LOCATION = 'memory:scale';
/** Conversations that are imported at once to make the store. */
const BATCH = 8192;
const ONE_SHOT_WRITERS = 500;
const REIMPORTED = 1000;

const { step, file, heads, seed, shape } = caseParameters();
const { openStore } = await importVarve();
const memory = await CountedMemory.install();
if (step !== 'build') memory.table.load(file);

/** @typedef {Awaited<ReturnType<typeof openStore>>} Store */

/** @type {Record<string, object>} */
const figures = {};

/** @type {Record<string, () => Promise<void>>} */
const steps = {
  async build() {
    const source = new ConversationSource({ seed, ...shape });
    await verb('import of all, each', {}, (store) => store.importJsonl(batches(source)), heads);
    memory.table.save(file);
  },

  /** Lists, cold: as many processes do that each list once. */
  async list() {
    await list('ls --limit 10, newest', { order: 'newest', limit: 10 });
    await list('ls --limit 10', { limit: 10 });
    await list('ls', {});
    await list('ls GLOB of one in 16', { id: 'a*' });
    await verb('ls in a process that may write', {}, (store) => drain(store.conversations.list()));
    for (let number = 0; number < ONE_SHOT_WRITERS; number++)
      await alone({}, (store) => store.conversations.put(small(`one-shot-${number}`)));
    await list('ls --limit 10 after 500 one-shot puts', { limit: 10 });
    await list('ls --limit 10 once more', { limit: 10 });
  },

  /** Small writes into many. */
  async write() {
    await verb('gc, idle', {}, (store) => store.gc.run());
    await verb('put, inline', {}, (store) => store.conversations.put(small('put-inline')));
    await verb('put, 2 new segments', {}, (store) => store.conversations.put(long('put-long', 2)));
    await verb('rm, inline', {}, (store) => store.conversations.delete('put-inline'));
    await verb('rm, 2 segments', {}, (store) => store.conversations.delete('put-long'));
    await verb('gc, with what these left', {}, (store) => store.gc.run());
    const line = Buffer.from(`${JSON.stringify(small('imported'))}\n`);
    await verb('import of one', {}, (store) => store.importJsonl([line]));
    await verb('usage', { readOnly: true }, (store) => store.usage());
  },

  /** Verbs that touch everything. */
  async whole() {
    const source = new ConversationSource({ seed, ...shape });
    const lines = source.next(Math.min(heads, REIMPORTED));
    await verb('import again of 1,000', {}, (store) => store.importJsonl([lines]));
    const reading = { readOnly: true };
    await verb('export', reading, (store) => drain(store.exportJsonl()));
    await verb('usage', reading, (store) => store.usage());
    await verb('usage by model', reading, (store) => store.usageBreakdown({ by: 'model' }));
    await verb('audit', reading, (store) => drain(store.audit()));
    await verb('gc --full, idle', {}, (store) => store.gc.run({ grace: 0, full: true }));
    const folder = mkdtempSync(join(process.env['BENCH_TMPDIR'] ?? tmpdir(), 'varve-bench-'));
    await verb('backup', reading, (store) => store.backup(join(folder, 'copy')));
    await verb('backup, unchanged', reading, (store) => store.backup(join(folder, 'copy')));
    rmSync(folder, { recursive: true });
    const ids = Array.from({ length: Math.min(heads, REIMPORTED) / 5 }, (_, at) =>
      syntheticId(at * 5),
    );
    await verb('rm of 200', {}, (store) => store.conversations.deleteMany(ids));
    await verb('gc after it', {}, (store) => store.gc.run({ grace: 0 }));
    await verb('gc --full', {}, (store) => store.gc.run({ grace: 0, full: true }));
  },
};

/**
 * @param {string} name
 * @param {import('../../src/index.ts').ConversationListOptions} options
 */
async function list(name, options) {
  await verb(name, { readOnly: true }, async (store, sample) => {
    let rows = 0;
    const every = Math.ceil((options.limit ?? heads) / 4);
    for await (const _ of store.conversations.list(options)) if (rows++ % every === 0) sample();
  });
}

/**
 * Opens the store, does the work and closes it; everything is counted.
 *
 * @param {string} name
 * @param {import('../../src/index.ts').OpenOptions} options
 * @param {(store: Store, sample: () => void) => Promise<unknown>} work may sample the memory in use
 * @param {number} [each] what the figures are divided by
 */
async function verb(name, options, work, each = 1) {
  const before = usedBytes();
  let peak = 0;
  const sample = () => {
    peak = Math.max(peak, usedBytes() - before);
  };
  memory.reset();
  // A round takes a millisecond: too long where there are very many.
  memory.rounds.isOn = step !== 'build';
  const { cpuMs, stallMs } = await costOf(() => alone(options, (store) => work(store, sample)));
  memory.rounds.isOn = false;
  const { bytesUp, bytesDown, ...verbs } = memory.counts;
  figures[name] = {
    requests: memory.requests / each,
    depth: memory.rounds.depth / each,
    bytesUp: bytesUp / each,
    bytesDown: bytesDown / each,
    cpuMs: cpuMs / each,
    stallMs,
    ...(peak > 0 && { heapBytes: peak }),
    verbs,
    kinds: memory.kinds,
  };
  console.error(`${name}: ${JSON.stringify(figures[name])}`);
}

/**
 * @param {import('../../src/index.ts').OpenOptions} options
 * @param {(store: Store) => Promise<unknown>} work
 */
async function alone(options, work) {
  const store = await openStore(LOCATION, options);
  try {
    await work(store);
  } finally {
    await store.close();
  }
}

/** @param {ConversationSource} source */
function* batches(source) {
  for (let made = 0; made < heads; made += BATCH) yield source.next(Math.min(BATCH, heads - made));
}

/** @param {AsyncIterable<unknown>} items */
async function drain(items) {
  for await (const _ of items);
}

/** @param {string} id */
function small(id) {
  return { id, model: 'synthetic', messages: [{ role: 'user', content: `Hello from ${id}.` }] };
}

/**
 * @param {string} id
 * @param {number} segments
 */
function long(id, segments) {
  const content = (/** @type {number} */ at) => `${id} ${at} says it. `.repeat(400);
  const messages = Array.from({ length: segments }, (_, at) => ({
    role: 'user',
    content: content(at),
  }));
  return { id, model: 'synthetic', messages };
}

await steps[step]?.();
console.log(JSON.stringify(figures));
