import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import { holderOf, manifestObjectKey } from '../format/keys.ts';
import { type Release, withoutReleases } from '../format/manifest-record.ts';
import { type Token, tokenOf } from '../format/sidecar.ts';
import type { SegmentTaker } from '../segments/segment-taker.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import type { Protocol } from '../tables/protocol.ts';

/** A manifest whose `releasing` is stored, so that the references in it can be let go of. */
export interface ReleasedManifest {
  readonly key: ManifestKey;
  readonly seen: SeenRecord;
  readonly releases: readonly Release[];
}

/**
 * Takes the tokens out of the sidecars, each sidecar once, then clears `releasing`. May be
 * repeated.
 */
export async function releaseAll(
  protocol: Protocol,
  taker: SegmentTaker,
  manifests: readonly ReleasedManifest[],
): Promise<void> {
  const tokens = new Map<Address, Set<Token>>();
  for (const { key, releases } of manifests) {
    const holder = holderOf(manifestObjectKey(key));
    for (const { address, nonce } of releases) {
      const known = tokens.get(address);
      if (known === undefined) tokens.set(address, new Set([tokenOf(holder, nonce)]));
      else known.add(tokenOf(holder, nonce));
    }
  }
  await mapAll(tokens, ([address, released]) => taker.release(address, released));
  await mapAll(manifests, (manifest) => clear(protocol, manifest));
}

async function clear(
  { manifests }: Protocol,
  { key, seen, releases }: ReleasedManifest,
): Promise<void> {
  for (let now = seen; ; ) {
    if (now.record === undefined) return;
    const { current, pending, releasing } = now.record;
    const left = withoutReleases(releasing, releases);
    if (left.length === releasing.length) return;
    const swapped = await manifests.swap(key, now, { current, pending, releasing: left });
    if (swapped.isStored) return;
    now = swapped.seen;
  }
}
