import type { ManifestKey } from '../../backends/contract/manifests.ts';
import { VarveError } from '../../core/errors.ts';

export function nameOf({ kind, id }: ManifestKey): string {
  return `${kind} ${JSON.stringify(id)}`;
}

/**
 * The error for an unchanged manifest whose segment is missing: something other than Varve removed
 * it.
 */
export function lostContent(key: ManifestKey, cause: Error): VarveError {
  const name = nameOf(key);
  const grown =
    key.kind === 'conversation' ? ' (if it has grown since, replacing what is there)' : '';
  return new VarveError(
    'CORRUPT',
    `content of ${name} is lost (${cause.message}): run an audit with repair; ` +
      `if that does not bring it back, put the ${key.kind} again${grown} or restore a backup`,
    { cause },
  );
}
