import type { Address } from '../address.ts';
import type { Backend } from '../backends/backend.ts';
import type { CollectReport } from '../backends/maintenance.ts';
import type { AbortOptions, Locator, ManifestKey, ManifestKind, StoredManifest } from '../backends/manifests.ts';
import { isVarveError, type VarveError } from '../errors.ts';
import { listReadable } from './list-readable.ts';

/** Manifests read at once. */
const BATCH = 32;

/** Manifests named for one segment. */
const NAMED = 100;

const KINDS: readonly ManifestKind[] = ['conversation', 'blob', 'pin'];

/** A segment of erased conversations that stays because others reference it. */
export interface RemainingSegment {
  readonly address: Address;
  /** Canonical bytes. */
  readonly length: number;
  /** Who references it; the first 100. Empty when it is only in use by a write under way. */
  readonly manifests: readonly ManifestKey[];
}

export interface ErasureReport {
  /** Ids of the conversations that were deleted. */
  readonly deleted: readonly string[];
  /** Ids under which there was none; what was deleted before is erased all the same. */
  readonly absent: readonly string[];
  /** Those that a hold keeps from being deleted. */
  readonly held: readonly { readonly id: string; readonly error: VarveError }[];
  /** What they had in common with what stays, and so is still stored. */
  readonly shared: readonly RemainingSegment[];
  /** Of the collection; its `remnants` are what could not be erased. */
  readonly collection: CollectReport;
}

/** The segments that manifests reference, with their lengths. */
export async function segmentsOf(
  backend: Backend,
  keys: readonly ManifestKey[],
  options: AbortOptions,
): Promise<Map<Address, number>> {
  const segments = new Map<Address, number>();
  for (let start = 0; start < keys.length; start += BATCH) {
    const manifests = await readSound(backend, keys.slice(start, start + BATCH), options);
    const locators = manifests.flatMap(locatorsOf);
    for (const { address, length } of await backend.describe([...new Set(locators)], options)) {
      segments.set(address, length);
    }
  }
  return segments;
}

/** Which of the segments are still stored, and who references them. Reads every manifest if there are any. */
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
  for (const kind of KINDS) {
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

/** The manifests there are under the keys, without those that are damaged: to delete these is possible, to read them is not. */
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
