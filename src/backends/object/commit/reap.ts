import { manifestObjectKey } from '../format/keys.ts';
import type {
  DroppedReference,
  ManifestRecord,
  PendingAttempt,
} from '../format/manifest-record.ts';
import type { SegmentTaker } from '../segments/segment-taker.ts';
import type { Hints } from '../tables/hints.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import type { Protocol } from '../tables/protocol.ts';
import { dropReferences } from './drop-references.ts';

/** Added to the time without a heartbeat: for whole seconds, and for answers on their way. */
const MARGIN_MS = 2000;

/** Whether a record has attempts or drops that nobody seems to work on any more. */
export function isStale(protocol: Protocol, seen: SeenRecord): boolean {
  const { pending = [], dropped = [] } = seen.record ?? {};
  const age = ageOf(protocol, seen);
  return (
    pending.some(({ heartbeatTimeoutMs }) => age > heartbeatTimeoutMs + MARGIN_MS) ||
    (dropped.length > 0 && age > protocol.settings.leaseMs + MARGIN_MS)
  );
}

/** The time since the last heartbeat of all attempts, in ms: each heartbeat makes a new body. */
function ageOf(
  { serverClock }: Protocol,
  { lastModified = Number.POSITIVE_INFINITY }: SeenRecord,
): number {
  return serverClock.earliest() - lastModified;
}

/**
 * Returns what a reaper fences in a record, and what it drops; `undefined` while nothing of it is
 * stale.
 */
export function leftBehind(
  protocol: Protocol,
  record: ManifestRecord,
  seen: SeenRecord,
):
  | {
      stale: readonly PendingAttempt[];
      fenced: readonly DroppedReference[];
      dropped: readonly DroppedReference[];
    }
  | undefined {
  const age = ageOf(protocol, seen);
  const stale = record.pending.filter(
    ({ heartbeatTimeoutMs }) => age > heartbeatTimeoutMs + MARGIN_MS,
  );
  const isDroppingStale = record.dropped.length > 0 && age > protocol.settings.leaseMs + MARGIN_MS;
  if (stale.length === 0 && !isDroppingStale) return undefined;
  const kept = new Map(record.current?.references);
  // What is committed meanwhile is not pending any more, but a segment may be both referenced and
  // announced again (rule `drop-what-is-replaced`).
  const fenced = stale.flatMap(({ attempt, adds }) =>
    adds
      .filter((address) => kept.get(address)?.attempt !== attempt)
      .map((address): DroppedReference => ({ address, attempt })),
  );
  return { stale, fenced, dropped: [...record.dropped, ...fenced] };
}

/**
 * Finishes what a crashed writer began. Fences attempts without a heartbeat (rules
 * `wait-for-heartbeats` and `fence-before-dropping`): once their entries are out of `pending`, they
 * can never commit, so their tokens may leave the sidecars. A writer that is fenced although it is
 * alive loses nothing but one attempt. Returns whether nothing of the record is left to finish.
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
  if (left === undefined) return record.pending.length + record.dropped.length === 0;
  const { stale, fenced, dropped } = left;
  let now = seen;
  if (stale.length > 0) {
    await hints.announceGarbage([{ objectKey: manifestObjectKey(record.key), dropped: fenced }]);
    const pending = record.pending.filter((attempt) => !stale.includes(attempt));
    const change = { current: record.current, pending, dropped };
    const swapped = await protocol.manifests.swap(record.key, seen, change);
    if (!swapped.isStored) return false;
    now = swapped.seen;
  }
  await dropReferences(protocol, taker, [{ key: record.key, seen: now, dropped }]);
  return stale.length === record.pending.length;
}
