/** A directory of many conversations: CPU time for each item, and the longest stalls. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { runCase } from '../../support/process.mjs';
import { table } from '../../support/table.mjs';
import { compared, of } from './compare.mjs';

const SIZES = [10_000, 100_000];
const FULL_SIZES = [...SIZES, 1_000_000];
const STEPS = ['build', 'read', 'delete', 'collect'];

/** Of a list, no more is read than this takes. */
const BUDGET_MS = 10_000;
const FULL_BUDGET_MS = 20_000;

/** @param {import('../scale.mjs').Settings} settings */
export async function measure({ isFull, seed, builds, folder }) {
  const sizes = isFull ? FULL_SIZES : SIZES;
  const budgetMs = isFull ? FULL_BUDGET_MS : BUDGET_MS;
  /** @type {Record<string, number>[][]} */
  const figures = [];
  for (const size of sizes) {
    const ofSize = builds.map(() => ({}));
    for (const step of STEPS) {
      for (const [at, { label, dist }] of builds.entries()) {
        console.error(`directory of ${size}: ${step}, ${label}`);
        const store = join(folder, `${label}-${size}`);
        const parameters = { step, store, size, seed, budgetMs };
        const { result } = await runCase('scale-local', parameters, { VARVE_DIST: dist });
        Object.assign(ofSize[at] ?? {}, result);
      }
    }
    for (const { label } of builds) rmSync(join(folder, `${label}-${size}`), { recursive: true });
    figures.push(ofSize);
  }
  const names = Object.keys(figures[0]?.at(-1) ?? {});
  const rows = names.map((name) => [name, ...figures.map((ofSize) => compared(of(ofSize, name)))]);
  return {
    results: { sizes, figures },
    tables: [
      table('A directory, CPU time by its size', ['conversations', ...sizes.map(String)], rows),
    ],
  };
}
