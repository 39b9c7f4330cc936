import type { Backend } from '../backends/contract/backend.ts';
import type { AbortOptions } from '../core/abort.ts';
import { isVarveError } from '../core/errors.ts';

/**
 * Counts what is stored, for `lastUsage`, after work that has read the whole store anyway. The work
 * is done, so a count that fails does not fail it.
 */
export async function leaveCount(backend: Backend, options: AbortOptions): Promise<void> {
  if (backend.recount === undefined || !backend.capabilities.writable) return;
  try {
    await backend.recount(options);
  } catch (error) {
    if (!isVarveError(error)) throw error;
  }
}
