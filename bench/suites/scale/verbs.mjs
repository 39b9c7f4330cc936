/** Verbs that touch every conversation of a store of objects: how deep their requests are. */

import { steps } from './objects.mjs';
import { requestTable } from './request-table.mjs';

const HEADS = 1_000;

/** Two segments of its own and one that others share, each above the inline threshold. */
const SHAPE = { messages: 2, messageBytes: 6_000, prompts: 50, promptBytes: 6_000 };

/** @param {import('../scale.mjs').Settings} settings */
export async function measure({ latencyMs, seed, builds, folder }) {
  const figures = await steps(['build', 'whole'], builds, folder, {
    heads: HEADS,
    seed,
    shape: SHAPE,
  });
  const title = `Objects: ${HEADS} conversations of three segments`;
  return {
    results: { heads: HEADS, figures },
    tables: [requestTable(title, figures, latencyMs)],
  };
}
