import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import { manifestObjectKey, referrerOf } from '../format/keys.ts';
import {
  type DroppedReference,
  nameOfReference,
  withoutDropped,
} from '../format/manifest-record.ts';
import { type Token, tokenOf } from '../format/sidecar.ts';
import type { SegmentTaker } from '../segments/segment-taker.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import type { Protocol } from '../tables/protocol.ts';
import { readReferences, withPages } from '../tables/references.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';

/** A manifest whose `dropped` is stored, so that those tokens may leave the sidecars. */
export interface ManifestDrops {
  readonly key: ManifestKey;
  readonly seen: SeenRecord;
  readonly dropped: readonly DroppedReference[];
}

/**
 * Takes dropped tokens out of the sidecars, each sidecar once, then clears `dropped`. May be
 * repeated: what a page references leaves before the page, which is the only list of it (rule
 * `page-leaves-last`).
 */
export async function dropReferences(
  protocol: Protocol,
  taker: SegmentTaker,
  manifests: readonly ManifestDrops[],
): Promise<void> {
  const readable = (await mapAll(manifests, (each) => expand(protocol, each))).flat();
  await dropTokens(
    taker,
    readable.map(({ key, dropped, inPages }) => ({
      key,
      dropped: [...dropped.filter(({ page }) => page === undefined), ...inPages],
    })),
  );
  await dropTokens(
    taker,
    readable.map(({ key, dropped }) => ({
      key,
      dropped: dropped.filter(({ page }) => page !== undefined),
    })),
  );
  await mapAll(readable, (manifest) => clear(protocol, manifest));
}

/**
 * Adds what dropped pages reference and the content does not. Resolves with nothing when that
 * cannot be read: then all stays as it is.
 */
async function expand(
  protocol: Protocol,
  drops: ManifestDrops,
): Promise<(ManifestDrops & { readonly inPages: readonly DroppedReference[] })[]> {
  const { key, seen, dropped } = drops;
  if (dropped.every(({ page }) => page === undefined)) return [{ ...drops, inPages: [] }];
  const objectKey = manifestObjectKey(key);
  const found = await unlessUnreadable(withPages(protocol, objectKey, dropped));
  if (found === undefined) return [];
  const now = await unlessUnreadable(readReferences(protocol, objectKey));
  if (now === undefined) return [];
  const kept = new Set(now.committed.map(nameOfReference));
  const inPages = found.filter((each) => !kept.has(nameOfReference(each)));
  return [{ key, seen, dropped, inPages }];
}

async function dropTokens(
  taker: SegmentTaker,
  manifests: readonly Pick<ManifestDrops, 'key' | 'dropped'>[],
): Promise<void> {
  const tokens = new Map<Address, Set<Token>>();
  for (const { key, dropped } of manifests) {
    const referrer = referrerOf(manifestObjectKey(key));
    for (const { address, attempt } of dropped) {
      const known = tokens.get(address);
      if (known === undefined) tokens.set(address, new Set([tokenOf(referrer, attempt)]));
      else known.add(tokenOf(referrer, attempt));
    }
  }
  await mapAll(tokens, ([address, given]) => taker.drop(address, given));
}

async function clear(
  { manifests }: Protocol,
  { key, seen, dropped }: ManifestDrops,
): Promise<void> {
  for (let now = seen; ; ) {
    if (now.record === undefined) return;
    const { current, pending, dropped: stored } = now.record;
    const left = withoutDropped(stored, dropped);
    if (left.length === stored.length) return;
    const swapped = await manifests.swap(key, now, { current, pending, dropped: left });
    if (swapped.isStored) return;
    now = swapped.seen;
  }
}
