import type { BackendCapabilities } from '../../backends/contract/backend.ts';
import type { CollectReport } from '../../backends/contract/collection.ts';

/** Says where an erasure may have left something, or that it left nothing. */
export function remnantLines(
  { remnants }: CollectReport,
  { multiMachine }: BackendCapabilities,
): string[] {
  if (remnants === undefined) return [];
  if (remnants.length === 0) {
    // A bucket cannot delete an object on the condition that nobody has just written it, so
    // tombstones stay.
    return multiMachine
      ? ['no deleted content is left in the store; the ids stay in the keys of ' + 'tombstones']
      : ['nothing that was deleted is left in the store'];
  }
  return remnants.map(({ location, reason }) => `something may be left in ${location}: ${reason}`);
}
