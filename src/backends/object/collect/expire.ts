import { abortOf } from '../../../core/abort.ts';
import { batchesOf } from '../../../core/batches.ts';
import { mapAhead, mapAll } from '../../../core/concurrency.ts';
import { type DeleteWrite, MANIFEST_KINDS, type ManifestKey } from '../../contract/manifests.ts';
import { deleteAll } from '../../storage/delete-all.ts';
import type { ListedObject } from '../../storage/object-store.ts';
import type { StoredHead } from '../format/head-version.ts';
import { EXPIRY_HINTS_PREFIX, expiryPrefix, manifestObjectKey } from '../format/keys.ts';
import type { ManifestRecord } from '../format/manifest-record.ts';
import { READ_AHEAD } from '../listing/manifest-walk.ts';
import { readExpiryHint } from '../tables/hints.ts';
import { readReferences } from '../tables/references.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import type { CollectRun } from './collect-run.ts';

/**
 * A hint is written before its commit: one that is younger than this, in ms, may be of a commit
 * under way.
 */
const SETTLED_HINT_MS = 15 * 60 * 1000;

/** Manifests read, and deleted, together. */
const WINDOW = 256;

interface DueManifest {
  readonly key: ManifestKey;
  /** The hint that names it. */
  readonly hint?: { readonly key: string; readonly isOld: boolean };
}

/** A due manifest as it was read. */
interface ReadManifest extends DueManifest {
  /** `undefined` when there is none, or it cannot be read. */
  readonly record: ManifestRecord | undefined;
  readonly isReadable: boolean;
}

/**
 * Deletes manifests that have expired and that nobody holds, each only at the revision that says so
 * (rule `judge-what-is-replaced`): those that hints name, in a full run all.
 */
export async function expireManifests(run: CollectRun): Promise<void> {
  // People set these times by their own clock, so the local clock decides, not the server's.
  const now = run.protocol.clock.now();
  for await (const window of batchesOf(dueManifests(run, now), { count: WINDOW })) {
    if (run.scope.isOver()) return;
    await expireWindow(run, window, now);
  }
}

async function* dueManifests(
  run: CollectRun,
  now: number,
): AsyncGenerator<DueManifest, void, undefined> {
  const { protocol, scope, lists } = run;
  const abort = abortOf(scope.signal);
  const hinted = new Set<string>();
  const read = async ({ key: hintKey, lastModified }: ListedObject) => {
    const object = await protocol.store.get(hintKey, abort);
    const key = object && readExpiryHint(object.body, hintKey);
    if (key === undefined) return undefined;
    const isOld = protocol.serverClock.earliest() - lastModified > SETTLED_HINT_MS;
    return { key, hint: { key: hintKey, isOld } };
  };
  for await (const due of mapAhead(dueHints(run, now), READ_AHEAD, read)) {
    if (due === undefined) continue;
    hinted.add(manifestObjectKey(due.key));
    yield due;
  }
  if (!scope.full) return;
  for (const kind of MANIFEST_KINDS) {
    const isDue = ({ expiresAt = Number.POSITIVE_INFINITY }: StoredHead) => expiresAt <= now;
    for await (const { id } of lists.placed(kind, isDue)) {
      const key = { kind, id };
      const objectKey = manifestObjectKey(key);
      if (!hinted.has(objectKey) && scope.hasObject(objectKey)) yield { key };
    }
  }
}

async function* dueHints(
  { hinted, scope }: CollectRun,
  now: number,
): AsyncGenerator<ListedObject, void, undefined> {
  for await (const hint of hinted.below(EXPIRY_HINTS_PREFIX)) {
    if (hint.key > `${expiryPrefix(now)}~`) return;
    if (scope.hasObject(hint.key)) yield hint;
  }
}

async function expireWindow(
  run: CollectRun,
  window: readonly DueManifest[],
  now: number,
): Promise<void> {
  const read = await readManifests(run, window);
  const deleted = await deleteExpired(run, expiredOf(run, read, now));
  await count(run, deleted);
  if (!run.scope.dryRun) await deleteSpentHints(run, read, deleted, now);
}

function readManifests(
  { protocol }: CollectRun,
  window: readonly DueManifest[],
): Promise<ReadManifest[]> {
  return mapAll(window, async (due) => {
    const seen = await unlessUnreadable(protocol.manifests.read(due.key));
    return { ...due, record: seen?.record, isReadable: seen !== undefined };
  });
}

/** The manifests to delete, each once: several hints may name one. */
function expiredOf(
  { foreseen }: CollectRun,
  read: readonly ReadManifest[],
  now: number,
): ManifestRecord[] {
  const expired = new Map<string, ManifestRecord>();
  for (const { record } of read) {
    if (!isDue(record, now) || record.current?.hold || foreseen.hasTouched(record.key)) continue;
    const objectKey = manifestObjectKey(record.key);
    if (!expired.has(objectKey)) expired.set(objectKey, record);
  }
  return [...expired.values()];
}

/** Returns those that were deleted; in a dry run, that would be. */
async function deleteExpired(
  run: CollectRun,
  expired: readonly ManifestRecord[],
): Promise<readonly ManifestRecord[]> {
  if (run.scope.dryRun || expired.length === 0) return expired;
  const writes = expired.map(
    ({ key, current }): DeleteWrite => ({
      operation: 'delete',
      key,
      ...(current && { ifRevision: current.revision }),
    }),
  );
  const outcomes = await run.remove(writes);
  run.hinted.outdate();
  return expired.filter((_, at) => outcomes[at]?.status === 'deleted');
}

async function count(
  { protocol, scope, tally, foreseen }: CollectRun,
  deleted: readonly ManifestRecord[],
): Promise<void> {
  for (const { key, current } of deleted) {
    tally.expired.count++;
    tally.expired.bytes += current?.logicalBytes ?? 0;
    if (!scope.dryRun) continue;
    const found = await unlessUnreadable(readReferences(protocol, manifestObjectKey(key)));
    if (found !== undefined) foreseen.add(key, found.committed);
  }
  scope.progress('expire', tally.expired.count);
}

/**
 * A hint goes when nothing is left to do for it. It stays while its manifest is held, was not
 * deleted, or cannot be read: an audit reports that.
 */
async function deleteSpentHints(
  { protocol }: CollectRun,
  read: readonly ReadManifest[],
  deleted: readonly ManifestRecord[],
  now: number,
): Promise<void> {
  const gone = new Set(deleted.map(({ key }) => manifestObjectKey(key)));
  const spent = read.flatMap(({ key, hint, record, isReadable }) => {
    const isOpen = !isReadable || (isDue(record, now) && !gone.has(manifestObjectKey(key)));
    return hint?.isOld && !isOpen ? [hint.key] : [];
  });
  await deleteAll(protocol.store, spent);
}

function isDue(record: ManifestRecord | undefined, now: number): record is ManifestRecord {
  return (record?.current?.expiresAt ?? Number.POSITIVE_INFINITY) <= now;
}
