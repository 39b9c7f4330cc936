import { manifestObjectKey } from '../format/keys.ts';
import type { ManifestRecord, PendingAttempt, Release } from '../format/manifest-record.ts';
import type { SegmentTaker } from '../segments/segment-taker.ts';
import type { Hints } from '../tables/hints.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import type { Protocol } from '../tables/protocol.ts';
import { releaseAll } from './release.ts';

/** What an attempt is given beyond its lease: for whole seconds, and for answers on their way. */
const MARGIN_MS = 2000;

/** Whether a record holds what nobody seems to be at work on any more. */
export function isStale(protocol: Protocol, seen: SeenRecord): boolean {
  const { pending = [], releasing = [] } = seen.record ?? {};
  const age = ageOf(protocol, seen);
  return (
    pending.some(({ leaseMs }) => age > leaseMs + MARGIN_MS) ||
    (releasing.length > 0 && age > protocol.settings.leaseMs + MARGIN_MS)
  );
}

/**
 * A renewed lease is a new body, so the body's age is the time since the last sign of life of all.
 * In ms.
 */
function ageOf(
  { serverClock }: Protocol,
  { lastModified = Number.POSITIVE_INFINITY }: SeenRecord,
): number {
  return serverClock.earliest() - lastModified;
}

/**
 * What a reaper fences in a record, and what it lets go of; `undefined` while nothing of it is
 * stale.
 */
export function leftBehind(
  protocol: Protocol,
  record: ManifestRecord,
  seen: SeenRecord,
):
  | { stale: readonly PendingAttempt[]; fenced: readonly Release[]; releases: readonly Release[] }
  | undefined {
  const age = ageOf(protocol, seen);
  const stale = record.pending.filter(({ leaseMs }) => age > leaseMs + MARGIN_MS);
  const isReleasingStale =
    record.releasing.length > 0 && age > protocol.settings.leaseMs + MARGIN_MS;
  if (stale.length === 0 && !isReleasingStale) return undefined;
  const kept = new Map(record.current?.holds);
  // What is committed meanwhile is not pending any more, but a segment may be both held and
  // announced anew (rule `release-what-is-dropped`).
  const fenced = stale.flatMap(({ nonce, adds }) =>
    adds
      .filter((address) => kept.get(address)?.nonce !== nonce)
      .map((address): Release => ({ address, nonce })),
  );
  return { stale, fenced, releases: [...record.releasing, ...fenced] };
}

/**
 * Finishes what a crashed writer began. Attempts whose lease has run out are fenced (rules
 * `wait-for-leases` and `fence-before-releasing`): once their entries are out of `pending` they can
 * never commit, so their tokens may leave the sidecars.
 * To fence a writer that is alive after all costs it a second attempt, nothing else. Returns
 * whether nothing of the record is left to finish.
 */
export async function reap(
  protocol: Protocol,
  taker: SegmentTaker,
  hints: Hints,
  seen: SeenRecord,
): Promise<boolean> {
  const { record } = seen;
  if (record === undefined) return true;
  const left = leftBehind(protocol, record, seen);
  if (left === undefined) return record.pending.length + record.releasing.length === 0;
  const { stale, fenced, releases } = left;
  let released = seen;
  if (stale.length > 0) {
    await hints.announceReleases([{ objectKey: manifestObjectKey(record.key), releases: fenced }]);
    const pending = record.pending.filter((attempt) => !stale.includes(attempt));
    const change = { current: record.current, pending, releasing: releases };
    const swapped = await protocol.manifests.swap(record.key, seen, change);
    if (!swapped.isStored) return false;
    released = swapped.seen;
  }
  await releaseAll(protocol, taker, [{ key: record.key, seen: released, releases }]);
  return stale.length === record.pending.length;
}
