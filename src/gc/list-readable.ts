import type { Backend } from '../backends/contract/backend.ts';
import type { ManifestHead, ManifestKind } from '../backends/contract/manifests.ts';
import type { AbortOptions } from '../core/abort.ts';
import { isUnreadable, type VarveError } from '../core/errors.ts';

/**
 * Lists the manifests of a kind that can be read. A list ends with an error where some are damaged
 * or of a newer format, after all others: audits report these.
 *
 * @param onFault called with that error.
 */
export async function* listReadable(
  backend: Backend,
  kind: ManifestKind,
  options: AbortOptions,
  onFault?: (error: VarveError) => void,
): AsyncGenerator<ManifestHead, void, undefined> {
  try {
    yield* backend.list(kind, {}, options);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    onFault?.(error);
  }
}
