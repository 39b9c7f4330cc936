import type { Address } from '../../../core/address.ts';
import { shown } from '../../../core/arguments.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { VarveError } from '../../../core/errors.ts';
import { ownCopy } from '../../../core/own-copy.ts';
import type { Locator, SegmentDescription } from '../../contract/manifests.ts';
import { segmentKey } from '../format/keys.ts';
import type { RecordBody, RecordEntry, Reference } from '../format/manifest-record.ts';
import { decodeSegment } from '../format/segment-data.ts';
import {
  type Generation,
  parseGeneration,
  referrerOfToken,
  type Sidecar,
} from '../format/sidecar.ts';
import { unspill } from '../format/spill.ts';
import type { Protocol } from '../tables/protocol.ts';
import type { SegmentCache } from '../tables/segment-cache.ts';

const LOCATOR = /^([0-9a-f]{64})\/([A-Za-z0-9_-]+)$/;

/** Reads segments; keeps those read last in memory. */
export class SegmentReader {
  readonly #protocol: Protocol;
  readonly #cache: SegmentCache;

  constructor(protocol: Protocol, cache: SegmentCache) {
    this.#protocol = protocol;
    this.#cache = cache;
  }

  /**
   * Position of a manifest's segment: its address and generation, so that no lookup is necessary.
   */
  locate(address: Address, references: ReadonlyMap<Address, Reference>): Locator {
    const reference = references.get(address);
    if (reference === undefined)
      throw new VarveError(
        'CORRUPT',
        `a manifest uses segment ${address} without a reference to it`,
      );
    return locatorOf(address, reference.gen);
  }

  addressOf(locator: Locator): Address {
    return placeOf(locator).address;
  }

  async find(addresses: readonly Address[]): Promise<(Locator | undefined)[]> {
    const distinct = [...new Set(addresses)];
    const found = await mapAll(distinct, async (address) => {
      const sidecar = await this.#protocol.sidecars.read(address);
      return sidecar !== undefined && (await this.#isStored(address, sidecar))
        ? locatorOf(address, sidecar.gen)
        : undefined;
    });
    const byAddress = new Map(distinct.map((address, at) => [address, found[at]]));
    return addresses.map((address) => byAddress.get(address));
  }

  /** @throws `NOT_FOUND` for a collected segment; `CORRUPT` with the address. */
  async fetch(locators: readonly Locator[]): Promise<Uint8Array[]> {
    return (await this.#fetchShared(locators)).map(ownCopy);
  }

  /** As {@link fetch}; the bytes may be shared with the cache. */
  async #fetchShared(locators: readonly Locator[]): Promise<Uint8Array[]> {
    const distinct = [...new Set(locators)];
    const fetched = await mapAll(distinct, (locator) => this.#fetch(locator));
    const byLocator = new Map(distinct.map((locator, at) => [locator, fetched[at] as Uint8Array]));
    return locators.map((locator) => byLocator.get(locator) as Uint8Array);
  }

  /** @throws `NOT_FOUND` for a collected segment. */
  async describe(locators: readonly Locator[]): Promise<SegmentDescription[]> {
    const distinct = [...new Set(locators)];
    const described = await mapAll(distinct, (locator) => this.#describe(locator));
    const byLocator = new Map(
      distinct.map((locator, at) => [locator, described[at] as SegmentDescription]),
    );
    return locators.map((locator) => byLocator.get(locator) as SegmentDescription);
  }

  /** The bodies of entries; fetches spilled ones. */
  async bodies(
    entries: readonly RecordEntry[],
    references: ReadonlyMap<Address, Reference>,
  ): Promise<Uint8Array[]> {
    const spilledTo = (body: RecordBody) => (body.kind === 'spilled' ? body.parts : []);
    const parts = entries.flatMap(({ body }) =>
      spilledTo(body).map(({ address }) => this.locate(address, references)),
    );
    const bytes = parts.length === 0 ? [] : await this.#fetchShared(parts);
    let next = 0;
    return entries.map(({ body }) => {
      if (body.kind === 'inline') return ownCopy(body.bytes);
      const start = next;
      next += body.parts.length;
      return ownCopy(unspill(body, bytes.slice(start, next)));
    });
  }

  /** Drops a segment from memory. */
  forget(address: Address): void {
    this.#cache?.delete(address);
  }

  async #fetch(locator: Locator): Promise<Uint8Array> {
    const { address, generation } = placeOf(locator);
    const cached = this.#cache?.get(address);
    if (cached !== undefined) return cached;
    const object = await this.#protocol.store.get(segmentKey(address, generation));
    if (object === undefined) throw notStored(address);
    const bytes = decodeSegment(object.body, address, generation);
    this.#cache?.set(address, bytes);
    return bytes;
  }

  async #describe(locator: Locator): Promise<SegmentDescription> {
    const { address, generation } = placeOf(locator);
    const sidecar = await this.#protocol.sidecars.read(address);
    const isThere = sidecar?.gen === generation && (await this.#isStored(address, sidecar));
    if (!isThere) throw notStored(address);
    return { address, ...parseGeneration(generation), references: holdersOf(sidecar) };
  }

  async #isStored(address: Address, { state, gen }: Sidecar): Promise<boolean> {
    if (state !== 'uploading') return state === 'live';
    return (await this.#protocol.store.head(segmentKey(address, gen))) !== undefined;
  }
}

/** A manifest with pages may have several references to a segment, and counts once. */
function holdersOf({ refs }: Sidecar): number {
  return new Set(refs.map(referrerOfToken)).size;
}

function locatorOf(address: Address, generation: Generation): Locator {
  return `${address}/${generation}` as Locator;
}

function placeOf(locator: Locator): { address: Address; generation: Generation } {
  const [, address, generation] = LOCATOR.exec(String(locator)) ?? [];
  if (address === undefined)
    throw new VarveError('NOT_FOUND', `no segment is at ${shown(locator)}`);
  return { address: address as Address, generation: generation as Generation };
}

function notStored(address: Address): VarveError {
  return new VarveError('NOT_FOUND', `segment ${address} is not stored any more`);
}
