/**
 * Replication makes one store, the *target*, hold what another, the *source*, holds. Backup and
 * restore use it between stores of different kinds. The source may be written to meanwhile: each
 * manifest is copied as it is at one moment.
 */
import type { Backend } from '../../backends/contract/backend.ts';
import type { BackupOptions } from '../../backends/contract/backup.ts';
import {
  MANIFEST_KINDS,
  type ManifestHead,
  type ManifestKey,
  type ManifestKind,
  type ManifestWrite,
} from '../../backends/contract/manifests.ts';
import { type AbortOptions, abortOf } from '../../core/abort.ts';
import { batchesOf, slicesOf } from '../../core/batches.ts';
import { mapAll } from '../../core/concurrency.ts';
import { isUnreadable, type VarveError } from '../../core/errors.ts';
import { listReadable } from '../list-readable.ts';
import { CopiedManifests } from './copied-manifests.ts';
import { ManifestCopier } from './manifest-copier.ts';

/** Manifests that are read and committed together, fewer when they are long. */
const TOGETHER = 256;
const TOGETHER_BYTES = 16 * 1024 * 1024;

/** What a replication did. */
export interface ReplicationReport {
  /** Manifests that are in the target now. */
  readonly manifests: number;
  /** Of these, how many were missing in the target, or different there. */
  readonly changed: number;
  /** Manifests deleted from the target because the source does not have them. */
  readonly deleted: number;
  /** Canonical bytes of segments that the target lacked. */
  readonly copiedBytes: number;
  /** Manifests that cannot be read; the target keeps what it has of them. */
  readonly unreadable: readonly ManifestKey[];
  /** Why more manifests cannot be read, when even their ids are unknown. */
  readonly listFault: VarveError | undefined;
}

/** How a backup differs from a restoration. */
export interface ReplicationHooks {
  /** What is known to be in the target already. Default: nothing. */
  readonly copied?: CopiedManifests;
  /** Called when the source has no manifest at all, before any is deleted from the target. */
  readonly onNothing?: () => Promise<void>;
}

/**
 * Makes the target hold every manifest of the source with its entries, fields and hold, and no
 * others. Segments that the target already has are not fetched from the source. Revisions, times of
 * update and idempotency keys are each store's own; the order of archiving is the source's in a
 * target that was empty.
 */
export async function replicate(
  source: Backend,
  target: Backend,
  options: BackupOptions = {},
  { copied = CopiedManifests.none(), onNothing = async () => {} }: ReplicationHooks = {},
): Promise<ReplicationReport> {
  const abort = abortOf(options.signal);
  const copier = new ManifestCopier(source, target, copied, abort);
  /** By kind, the ids that the source has, where its list is whole. */
  const whole = new Map<ManifestKind, ReadonlySet<string>>();
  let listFault: VarveError | undefined;
  for (const kind of MANIFEST_KINDS) {
    const present = new Set<string>();
    let fault: VarveError | undefined;
    const heads = listReadable(source, kind, abort, (error) => {
      fault = error;
    });
    const bytesOf = ({ logicalBytes }: ManifestHead) => logicalBytes;
    const bounds = { count: TOGETHER, bytes: TOGETHER_BYTES, bytesOf };
    for await (const batch of batchesOf(heads, bounds)) {
      for (const id of await copier.copy(batch)) present.add(id);
      const { manifests } = copier.tally;
      options.onProgress?.({ phase: `copy ${kind}s`, done: manifests, total: manifests });
    }
    listFault ??= fault;
    // What the list left out may still be in the source.
    if (fault === undefined) whole.set(kind, present);
  }
  if (MANIFEST_KINDS.every((kind) => whole.get(kind)?.size === 0)) await onNothing();
  let deleted = 0;
  for (const [kind, present] of whole)
    deleted += await deleteOthers(source, target, kind, present, abort);
  return { ...copier.tally, deleted, unreadable: copier.unreadable, listFault };
}

/**
 * Deletes all manifests of a kind but those named. Returns how many. What is to be deleted is read
 * from the source once more: a copy must not lose what a list has only missed.
 */
async function deleteOthers(
  source: Backend,
  target: Backend,
  kind: ManifestKind,
  present: ReadonlySet<string>,
  abort: AbortOptions,
): Promise<number> {
  const others: ManifestKey[] = [];
  for await (const { key } of target.list(kind, {}, abort))
    if (!present.has(key.id)) others.push(key);
  let deleted = 0;
  for (const listed of slicesOf(others, TOGETHER)) {
    const isGone = await mapAll(listed, (key) => isAbsent(source, key, abort));
    const keys = listed.filter((_, at) => isGone[at]);
    deleted += keys.length;
    const writes = keys.flatMap((key): ManifestWrite[] => [
      { operation: 'hold', key, held: false },
      { operation: 'delete', key },
    ]);
    for (const outcome of await target.commit(writes, abort))
      if (outcome.status === 'failed') throw outcome.error;
  }
  return deleted;
}

/** Whether a store has no such manifest; one that cannot be read is there. */
async function isAbsent(source: Backend, key: ManifestKey, abort: AbortOptions): Promise<boolean> {
  try {
    const [head] = await source.heads([key], abort);
    return head === undefined;
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return false;
  }
}
