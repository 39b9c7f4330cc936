import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import { manifestObjectKey, referrerOf } from '../format/keys.ts';
import { type DroppedReference, withoutDropped } from '../format/manifest-record.ts';
import { type Token, tokenOf } from '../format/sidecar.ts';
import type { SegmentTaker } from '../segments/segment-taker.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import type { Protocol } from '../tables/protocol.ts';

/** A manifest whose `dropped` is stored, so that those tokens may leave the sidecars. */
export interface ManifestDrops {
  readonly key: ManifestKey;
  readonly seen: SeenRecord;
  readonly dropped: readonly DroppedReference[];
}

/**
 * Takes dropped tokens out of the sidecars, each sidecar once, then clears `dropped`. May be
 * repeated.
 */
export async function dropReferences(
  protocol: Protocol,
  taker: SegmentTaker,
  manifests: readonly ManifestDrops[],
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
  await mapAll(manifests, (manifest) => clear(protocol, manifest));
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
