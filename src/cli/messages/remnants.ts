import type { BackendCapabilities } from '../../backends/contract/backend.ts';
import type { CollectReport } from '../../backends/contract/maintenance.ts';

/** Where an erasure may have left something, or that it has not. */
export function remnantLines(
  { remnants }: CollectReport,
  { multiMachine }: BackendCapabilities,
): string[] {
  if (remnants === undefined) return [];
  if (remnants.length === 0) {
    // A bucket offers no way to delete an object only if nobody has just written it.
    return multiMachine
      ? [
          'no content of what was deleted is left in the store; its ids stay in the keys of ' +
            'tombstones',
        ]
      : ['nothing of what was deleted is left in the store'];
  }
  return remnants.map(({ location, reason }) => `something may be left in ${location}: ${reason}`);
}
