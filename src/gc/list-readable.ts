import type { Backend } from '../backends/contract/backend.ts';
import type { ManifestHead, ManifestKind } from '../backends/contract/manifests.ts';
import type { AbortOptions } from '../core/abort.ts';
import { isUnreadable } from '../core/errors.ts';

/**
 * The manifests of a kind, without those that are damaged or of a newer format: to tell of these is
 * an audit's.
 */
export async function* listReadable(
  backend: Backend,
  kind: ManifestKind,
  options: AbortOptions,
): AsyncGenerator<ManifestHead, void, undefined> {
  try {
    yield* backend.list(kind, {}, options);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
  }
}
