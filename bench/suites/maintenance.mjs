/**
 * Maintenance of a large directory: synthetic conversations of one message, each a segment; every
 * hundredth conversation is deleted, so that the garbage is spread evenly over all packs and
 * blocks. Each step runs in a process of its own: a plan, the everyday collection that does it, and
 * an audit of all but the bytes themselves.
 */
import { join } from 'node:path';
import { inTemporaryFolder } from '../support/files.mjs';
import { runCase } from '../support/process.mjs';
import { fixed, megabytes, seconds, table } from '../support/table.mjs';

export const summary =
  'collecting and auditing a large directory with little garbage (a million segments: takes ' +
  'minutes)';
export const options = /** @type {const} */ ({
  segments: { type: 'string', default: '1000000' },
  every: { type: 'string', default: '100' },
  seed: { type: 'string', default: '1' },
});

const SHAPE = { batch: 4096, messages: 1, messageBytes: 320 };

/**
 * @param {readonly unknown[]} _corpora
 * @param {{ segments: string, every: string, seed: string }} given
 */
export async function measure(_corpora, { segments, every, seed }) {
  const shape = {
    ...SHAPE,
    conversations: Number(segments),
    every: Number(every),
    seed: Number(seed),
  };
  const steps = await inTemporaryFolder(async (folder) => {
    const measured = [];
    for (const step of ['fill', 'plan', 'gc', 'audit']) {
      console.error(step);
      measured.push(
        (await runCase('maintenance', { store: join(folder, 'store'), step, ...shape })).result,
      );
    }
    return measured;
  });
  const [fill, , collection] = steps;
  const { segments: stored, garbageSegments } = fill.result;
  const { collectedSegments, deadBytes, rewrittenPacks } = collection.result;
  return {
    results: { shape, steps },
    tables: [
      table(
        `${stored} segments, of which ${garbageSegments} are garbage`,
        ['step', 's', 'peak memory, MB', 'packs after, MB'],
        steps.map(({ step, tookMs, peakRssBytes, packBytes }) => [
          step,
          seconds(tookMs),
          megabytes(peakRssBytes),
          megabytes(packBytes),
        ]),
      ),
      `The collection took ${collectedSegments} segments, rewrote ${rewrittenPacks} packs, ` +
        `and leaves ${fixed(deadBytes / 1e6, 2)} MB dead in packs that are not due.`,
    ],
  };
}
