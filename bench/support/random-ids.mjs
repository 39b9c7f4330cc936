import { importVarve } from './library.mjs';
import { randomIntegers } from './statistics.mjs';

/**
 * Ids of conversations of a store, drawn with replacement.
 *
 * @param {string} location
 * @param {number} count
 * @param {number} seed
 */
export async function randomIds(location, count, seed) {
  const { openStore } = await importVarve();
  const store = await openStore(location, { readOnly: true });
  try {
    /** @type {string[]} */
    const ids = [];
    for await (const { id } of store.conversations.list()) ids.push(id);
    const random = randomIntegers(seed);
    return Array.from({ length: count }, () => ids[random() % ids.length]);
  } finally {
    await store.close();
  }
}
