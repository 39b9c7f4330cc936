import type { Backend } from '../backends/contract/backend.ts';
import type { CollectReport, Remnant } from '../backends/contract/maintenance.ts';
import {
  type Locator,
  MANIFEST_KINDS,
  type ManifestKey,
  type SegmentDescription,
  type StoredManifest,
} from '../backends/contract/manifests.ts';
import type { AbortOptions } from '../core/abort.ts';
import type { Address } from '../core/address.ts';
import { isVarveError, type VarveError } from '../core/errors.ts';
import { listReadable } from './list-readable.ts';

/** Manifests read at once. */
const BATCH = 32;

/** Manifests named for one segment. */
const NAMED = 100;

/** A segment of erased conversations that stays because others reference it. */
export interface RemainingSegment {
  readonly address: Address;
  /** Canonical bytes. */
  readonly length: number;
  /** Who references it; the first 100. Empty when it is only in use by a write under way. */
  readonly manifests: readonly ManifestKey[];
}

/** What an erasure of conversations deleted, and what is left. */
export interface ErasureReport {
  /** Ids of the conversations that were deleted. */
  readonly deleted: readonly string[];
  /** Ids under which there was none; what was deleted before is erased all the same. */
  readonly absent: readonly string[];
  /** Those that a hold keeps from being deleted. */
  readonly held: readonly { readonly id: string; readonly error: VarveError }[];
  /** What they had in common with what stays, and so is still stored. */
  readonly shared: readonly RemainingSegment[];
  /**
   * Of the collection; its `remnants` are what could not be erased of these conversations. Where
   * some of them were deleted before, or could not be read, it is not known what that was: then
   * they are all that is left in the store.
   */
  readonly collection: CollectReport;
}

/** What manifests have in segments. */
export interface Contents {
  /** The segments that they reference, with their lengths. */
  readonly segments: ReadonlyMap<Address, number>;
  /** Those, and those that hold their bodies. */
  readonly addresses: ReadonlySet<Address>;
  /** Ids of the manifests that were read. */
  readonly ids: ReadonlySet<string>;
}

export async function contentsOf(
  backend: Backend,
  keys: readonly ManifestKey[],
  options: AbortOptions,
): Promise<Contents> {
  const segments = new Map<Address, number>();
  const addresses = new Set<Address>();
  const ids = new Set<string>();
  for (let start = 0; start < keys.length; start += BATCH) {
    const manifests = await readSound(backend, keys.slice(start, start + BATCH), options);
    for (const { key } of manifests) ids.add(key.id);
    const locators = [...new Set(manifests.flatMap(locatorsOf))];
    for (const { address, length } of await describe(backend, locators, options))
      segments.set(address, length);
    const spilled = manifests.flatMap((manifest) => manifest.spilled ?? []);
    for (const address of await backend.addresses([...locators, ...spilled], options))
      addresses.add(address);
  }
  return { segments, addresses, ids };
}

/**
 * What is left of these contents. Where it is not known what all of them were, all that is left in
 * the store.
 */
export function remnantsOf(
  { remnants }: CollectReport,
  { addresses, ids }: Contents,
  erased: readonly string[],
): readonly Remnant[] | undefined {
  if (!erased.every((id) => ids.has(id))) return remnants;
  return remnants?.filter(({ address }) => address === undefined || addresses.has(address));
}

/** Segments that are lost are left out. */
async function describe(
  backend: Backend,
  locators: readonly Locator[],
  options: AbortOptions,
): Promise<SegmentDescription[]> {
  try {
    return await backend.describe(locators, options);
  } catch (error) {
    if (!isVarveError(error, 'NOT_FOUND')) throw error;
    if (locators.length === 1) return [];
    const one: SegmentDescription[][] = [];
    for (const locator of locators) one.push(await describe(backend, [locator], options));
    return one.flat();
  }
}

/**
 * Which of the segments are still stored, and who references them. Reads every manifest if there
 * are any.
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
    let batch: ManifestKey[] = [];
    const look = async () => {
      for (const manifest of await readSound(backend, batch, options)) note(manifest, holders);
      batch = [];
    };
    for await (const { key } of listReadable(backend, kind, options)) {
      batch.push(key);
      if (batch.length === BATCH) await look();
    }
    await look();
  }
  return addresses.flatMap((address, at) => {
    const locator = found[at];
    if (locator === undefined) return [];
    return [{ address, length: segments.get(address) ?? 0, manifests: holders.get(locator) ?? [] }];
  });
}

/**
 * The manifests there are under the keys, without those that are damaged: to delete these is
 * possible, to read them is not.
 */
async function readSound(
  backend: Backend,
  keys: readonly ManifestKey[],
  options: AbortOptions,
): Promise<StoredManifest[]> {
  try {
    return (await backend.read(keys, options)).filter((manifest) => manifest !== undefined);
  } catch (error) {
    if (!isVarveError(error, 'CORRUPT')) throw error;
    if (keys.length === 1) return [];
    const one: StoredManifest[][] = [];
    for (const key of keys) one.push(await readSound(backend, [key], options));
    return one.flat();
  }
}

function note(manifest: StoredManifest, holders: ReadonlyMap<Locator, ManifestKey[]>): void {
  for (const locator of new Set(locatorsOf(manifest))) {
    const keys = holders.get(locator);
    if (keys !== undefined && keys.length < NAMED) keys.push(manifest.key);
  }
}

function locatorsOf({ entries }: StoredManifest): Locator[] {
  return entries.flatMap(({ segments }) => segments);
}
