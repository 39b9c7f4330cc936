import type { Backend } from '../../backends/contract/backend.ts';
import type {
  Locator,
  ManifestKey,
  SegmentDescription,
  StoredManifest,
} from '../../backends/contract/manifests.ts';
import type { AbortOptions } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import { slicesOf } from '../../core/batches.ts';
import { mapAhead, mapAll } from '../../core/concurrency.ts';
import { isVarveError } from '../../core/errors.ts';

/** Manifests read together. */
export const BATCH = 32;

/** Batches read at once. */
export const BATCHES_AHEAD = { count: 4 };

/** The segments of manifests. */
export interface Contents {
  /** The segments that they reference, with their lengths. */
  readonly segments: ReadonlyMap<Address, number>;
  /** Those, and the segments that hold their bodies. */
  readonly addresses: ReadonlySet<Address>;
  /** Ids of the manifests that were read. */
  readonly ids: ReadonlySet<string>;
}

/** Reads the manifests under the keys, as far as they can be read, and returns what they have. */
export async function contentsOf(
  backend: Backend,
  keys: readonly ManifestKey[],
  options: AbortOptions,
): Promise<Contents> {
  const segments = new Map<Address, number>();
  const addresses = new Set<Address>();
  const ids = new Set<string>();
  const read = async (batch: readonly ManifestKey[]) => {
    const manifests = await readSound(backend, batch, options);
    const locators = [...new Set(manifests.flatMap(locatorsOf))];
    const spilled = manifests.flatMap((manifest) => manifest.spilled ?? []);
    const described = await describeStored(backend, locators, options);
    const found = await backend.addresses([...locators, ...spilled], options);
    return { read: manifests.map(({ key }) => key.id), described, found };
  };
  for await (const batch of mapAhead(slicesOf(keys, BATCH), BATCHES_AHEAD, read)) {
    for (const id of batch.read) ids.add(id);
    for (const { address, length } of batch.described) segments.set(address, length);
    for (const address of batch.found) addresses.add(address);
  }
  return { segments, addresses, ids };
}

/** The segments that a manifest references. */
export function locatorsOf({ entries }: StoredManifest): Locator[] {
  return entries.flatMap(({ segments }) => segments);
}

/** The manifests under the keys, without damaged ones, which can be deleted but not read. */
export function readSound(
  backend: Backend,
  keys: readonly ManifestKey[],
  options: AbortOptions,
): Promise<StoredManifest[]> {
  const read = async (some: readonly ManifestKey[]) =>
    (await backend.read(some, options)).filter((manifest) => manifest !== undefined);
  return allBut('CORRUPT', keys, read);
}

/** Descriptions of the segments, without those that are lost. */
function describeStored(
  backend: Backend,
  locators: readonly Locator[],
  options: AbortOptions,
): Promise<SegmentDescription[]> {
  return allBut('NOT_FOUND', locators, (some) => backend.describe(some, options));
}

/**
 * Works on all items at once; where that fails with `code`, on each alone, without those it fails
 * for.
 */
async function allBut<Item, Result>(
  code: 'CORRUPT' | 'NOT_FOUND',
  items: readonly Item[],
  work: (items: readonly Item[]) => Promise<Result[]>,
): Promise<Result[]> {
  try {
    return await work(items);
  } catch (error) {
    if (!isVarveError(error, code)) throw error;
    if (items.length === 1) return [];
    return (await mapAll(items, (item) => allBut(code, [item], work))).flat();
  }
}
