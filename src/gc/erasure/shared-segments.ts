import type { Backend } from '../../backends/contract/backend.ts';
import {
  type Locator,
  MANIFEST_KINDS,
  type ManifestHead,
  type ManifestKey,
  type StoredManifest,
} from '../../backends/contract/manifests.ts';
import type { AbortOptions } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import { batchesOf } from '../../core/batches.ts';
import { mapAhead } from '../../core/concurrency.ts';
import { listReadable } from '../list-readable.ts';
import { BATCH, BATCHES_AHEAD, locatorsOf, readSound } from './contents.ts';

/** Manifests named for one segment. */
const NAMED = 100;

/** A segment of erased conversations that stays because others reference it. */
export interface RemainingSegment {
  readonly address: Address;
  /** Canonical bytes. */
  readonly length: number;
  /** Who references it; the first 100. Empty when only a write under way uses it. */
  readonly manifests: readonly ManifestKey[];
}

/**
 * Returns which of the segments are still stored, and who references them. Reads every manifest
 * unless all segments are gone.
 */
export async function findShared(
  backend: Backend,
  segments: ReadonlyMap<Address, number>,
  options: AbortOptions,
): Promise<RemainingSegment[]> {
  const addresses = [...segments.keys()];
  const found = await backend.find(addresses, options);
  const holders = new Map<Locator, ManifestKey[]>();
  for (const locator of found) if (locator !== undefined) holders.set(locator, []);
  if (holders.size === 0) return [];
  for (const kind of MANIFEST_KINDS) {
    const heads = listReadable(backend, kind, options);
    const batches = batchesOf(heads, { count: BATCH });
    const read = (batch: readonly ManifestHead[]) =>
      readSound(
        backend,
        batch.map(({ key }) => key),
        options,
      );
    for await (const manifests of mapAhead(batches, BATCHES_AHEAD, read))
      for (const manifest of manifests) note(manifest, holders);
  }
  return addresses.flatMap((address, at) => {
    const locator = found[at];
    if (locator === undefined) return [];
    return [{ address, length: segments.get(address) ?? 0, manifests: holders.get(locator) ?? [] }];
  });
}

function note(manifest: StoredManifest, holders: ReadonlyMap<Locator, ManifestKey[]>): void {
  for (const locator of new Set(locatorsOf(manifest))) {
    const keys = holders.get(locator);
    if (keys !== undefined && keys.length < NAMED) keys.push(manifest.key);
  }
}
