import type { CollectReport } from '../backends/backend.ts';

/** Where an erasure may have left something, or that it has not. */
export function remnantLines({ remnants }: CollectReport): string[] {
  if (remnants === undefined) return [];
  if (remnants.length === 0) return ['nothing of what was deleted is left in the store'];
  return remnants.map(({ location, reason }) => `something may be left in ${location}: ${reason}`);
}
