import { abortOf } from '../../../core/abort.ts';
import { mapAll } from '../../../core/concurrency.ts';
import type { CollectShare } from '../../contract/maintenance.ts';
import {
  type DeleteWrite,
  MANIFEST_KINDS,
  type ManifestKey,
  type WriteOutcome,
} from '../../contract/manifests.ts';
import { deleteAll } from '../../storage/delete-all.ts';
import { listObjects } from '../../storage/listing.ts';
import { EXPIRY_HINTS_PREFIX, expiryPrefix, manifestObjectKey } from '../format/keys.ts';
import type { ManifestRecord } from '../format/manifest-record.ts';
import type { ListIndex } from '../listing/list-index.ts';
import { readExpiryHint } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';
import type { CollectScope } from './collect-scope.ts';
import type { ForeseenReleases } from './foreseen-releases.ts';

/** A hint comes before its commit: one younger than this may be of a commit under way. */
const SETTLED_HINT_MS = 15 * 60 * 1000;

/** So many manifests are read, and deleted, together. */
const WINDOW = 64;

interface DueManifest {
  readonly key: ManifestKey;
  /** The hint that told of it. */
  readonly hint?: { readonly key: string; readonly isOld: boolean };
}

/**
 * Deletes manifests that have expired and that nobody holds, each only at the revision that says so
 * (rule `judge-what-is-replaced`): those that hints name, in a full run all.
 */
export async function expireManifests(
  protocol: Protocol,
  index: ListIndex,
  scope: CollectScope,
  foreseen: ForeseenReleases,
  remove: (writes: readonly DeleteWrite[]) => Promise<WriteOutcome[]>,
): Promise<CollectShare> {
  // People give times by their own clock, so the local one decides, not the server's.
  const now = protocol.clock.now();
  const total = { count: 0, bytes: 0 };
  let window: DueManifest[] = [];
  for await (const due of dueManifests(protocol, index, scope, now)) {
    window.push(due);
    if (window.length < WINDOW) continue;
    if (scope.isOver()) return total;
    await expireWindow(protocol, window, scope, foreseen, now, remove, total);
    window = [];
  }
  if (window.length > 0 && !scope.isOver())
    await expireWindow(protocol, window, scope, foreseen, now, remove, total);
  return total;
}

async function* dueManifests(
  protocol: Protocol,
  index: ListIndex,
  scope: CollectScope,
  now: number,
): AsyncGenerator<DueManifest, void, undefined> {
  const abort = abortOf(scope.signal);
  const told = new Set<string>();
  for await (const { key: hintKey, lastModified } of listObjects(
    protocol,
    EXPIRY_HINTS_PREFIX,
    abort,
  )) {
    if (hintKey > `${expiryPrefix(now)}~`) break;
    if (!scope.hasObject(hintKey)) continue;
    const object = await protocol.store.get(hintKey, abort);
    if (object === undefined) continue;
    const key = readExpiryHint(object.body, hintKey);
    if (key === undefined) continue;
    told.add(manifestObjectKey(key));
    const isOld = protocol.serverClock.earliest() - lastModified > SETTLED_HINT_MS;
    yield { key, hint: { key: hintKey, isOld } };
  }
  if (!scope.full) return;
  for (const kind of MANIFEST_KINDS) {
    for (const { objectKey, head } of await index.all(kind, abort)) {
      const isDue = head?.expiresAt !== undefined && head.expiresAt <= now;
      if (isDue && !told.has(objectKey) && scope.hasObject(objectKey)) yield { key: head.key };
    }
  }
}

async function expireWindow(
  protocol: Protocol,
  window: readonly DueManifest[],
  scope: CollectScope,
  foreseen: ForeseenReleases,
  now: number,
  remove: (writes: readonly DeleteWrite[]) => Promise<WriteOutcome[]>,
  total: { count: number; bytes: number },
): Promise<void> {
  // What cannot be read is for an audit to tell of; it stays, and so does its hint.
  const seen = await mapAll(window, ({ key }) => unlessUnreadable(protocol.manifests.read(key)));
  const records = seen.map((each) => each?.record);
  // Several hints may tell of one manifest.
  const told = new Set<string>();
  const due = records.filter((record): record is ManifestRecord => {
    if (!isDue(record, now) || record?.current?.hold || foreseen.hasTouched(record.key))
      return false;
    const before = told.size;
    return told.add(manifestObjectKey(record.key)).size > before;
  });
  const writes = due.map(
    ({ key, current }): DeleteWrite => ({
      operation: 'delete',
      key,
      ...(current && { ifRevision: current.revision }),
    }),
  );
  const outcomes = scope.dryRun || writes.length === 0 ? [] : await remove(writes);
  for (const [at, record] of due.entries()) {
    if (!scope.dryRun && outcomes[at]?.status !== 'deleted') continue;
    total.count++;
    total.bytes += record.current?.logicalBytes ?? 0;
    const releases = [...(record.current?.holds ?? [])].map(([address, { nonce }]) => ({
      address,
      nonce,
    }));
    if (scope.dryRun) foreseen.add(record.key, releases);
  }
  scope.progress('expire', total.count);
  if (scope.dryRun) return;
  // A hint goes once it tells of nothing: what is held, or was not deleted, is still to come.
  const deleted = new Set(
    due
      .filter((_, at) => outcomes[at]?.status === 'deleted')
      .map(({ key }) => manifestObjectKey(key)),
  );
  const spent = window.flatMap(({ key, hint }, at) => {
    const isOpen =
      seen[at] === undefined || (isDue(records[at], now) && !deleted.has(manifestObjectKey(key)));
    return hint?.isOld && !isOpen ? [hint.key] : [];
  });
  await deleteAll(protocol.store, spent);
}

function isDue(record: ManifestRecord | undefined, now: number): record is ManifestRecord {
  return (record?.current?.expiresAt ?? Number.POSITIVE_INFINITY) <= now;
}
