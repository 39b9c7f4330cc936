/**
 * A store of many segments of which few are garbage: what collecting these asks of the service,
 * beside a walk of all sidecars.
 */
import { importVarve } from '../support/library.mjs';
import { caseParameters } from '../support/process.mjs';

const SEGMENTS_EACH = 100;

const { store: location, segments } = caseParameters();
const { openStore } = await importVarve();
const store = await openStore(location);

/** @param {number} number */
function conversation(number) {
  const messages = Array.from({ length: SEGMENTS_EACH }, (_, at) => {
    const content = `segment ${number * SEGMENTS_EACH + at} ${'of some length '.repeat(300)}`;
    return { role: 'user', content };
  });
  return { id: `c${number}`, messages };
}

/** @param {() => Promise<unknown>} work */
async function spent(work) {
  const before = new Map(Object.entries(store.metrics()?.requests ?? {}));
  const begun = performance.now();
  await work();
  const ms = performance.now() - begun;
  const after = Object.entries(store.metrics()?.requests ?? {});
  const requests = after.map(([verb, count]) => [verb, count - (before.get(verb) ?? 0)]);
  return { ms, requests: Object.fromEntries(requests) };
}

for (let number = 0; number < segments / SEGMENTS_EACH; number++)
  await store.conversations.put(conversation(number));
const steps = {
  delete: await spent(() => store.conversations.delete('c1')),
  collect: await spent(() => store.gc.run({ grace: 0 })),
  walk: await spent(() => store.gc.run({ grace: 0, full: true })),
};
await store.close();
console.log(JSON.stringify({ segments, garbage: SEGMENTS_EACH, ...steps }));
