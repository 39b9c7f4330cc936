import type { Backend } from '../../backends/contract/backend.ts';
import type { BackupOptions, BackupReport } from '../../backends/contract/backup.ts';
import { MANIFEST_KINDS, type ManifestKey } from '../../backends/contract/manifests.ts';
import { invalid } from '../../core/arguments.ts';
import { VarveError } from '../../core/errors.ts';
import { type ReplicationHooks, replicate } from './replication.ts';

/**
 * Copies the content of one store to another, and reports the copy.
 *
 * @throws why manifests cannot be listed, after all others were copied: a report could not name
 *   them, and a copy that lacks something must not look whole.
 */
export async function copyContent(
  source: Backend,
  target: Backend,
  options: BackupOptions,
  hooks?: ReplicationHooks,
): Promise<BackupReport> {
  const started = performance.now();
  const { manifests, copiedBytes, unreadable, listFault } = await replicate(
    source,
    target,
    options,
    hooks,
  );
  if (listFault !== undefined) {
    throw new VarveError(listFault.code, `everything else was copied: ${listFault.message}`, {
      cause: listFault,
    });
  }
  const { storedBytes } = await target.usage();
  return {
    location: target.location,
    manifests,
    unreadable,
    bytes: storedBytes,
    copiedBytes,
    durationMs: performance.now() - started,
  };
}

/**
 * @param reason begins the message, which goes on with the location.
 * @throws `INVALID_ARGUMENT` unless the store is empty.
 */
export async function assertEmpty(backend: Backend, reason: string): Promise<void> {
  const first = await firstOf(backend);
  if (first === undefined) return;
  throw invalid(
    `${reason} ${backend.location} is not empty (it holds ${first.kind} ` +
      `${JSON.stringify(first.id)}): name one that is new`,
  );
}

async function firstOf(backend: Backend): Promise<ManifestKey | undefined> {
  for (const kind of MANIFEST_KINDS) for await (const { key } of backend.list(kind)) return key;
  return undefined;
}
