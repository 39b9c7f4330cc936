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
import { isVarveError } from '../../core/errors.ts';

/** Manifests read at once. */
export const BATCH = 32;

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
  for (const batch of slicesOf(keys, BATCH)) {
    const manifests = await readSound(backend, batch, options);
    for (const { key } of manifests) ids.add(key.id);
    const locators = [...new Set(manifests.flatMap(locatorsOf))];
    for (const { address, length } of await describeStored(backend, locators, options))
      segments.set(address, length);
    const spilled = manifests.flatMap((manifest) => manifest.spilled ?? []);
    for (const address of await backend.addresses([...locators, ...spilled], options))
      addresses.add(address);
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
    const one: Result[][] = [];
    for (const item of items) one.push(await allBut(code, [item], work));
    return one.flat();
  }
}
