import type { Backend } from '../backends/contract/backend.ts';
import { type Locator, MAX_SEGMENT_BYTES } from '../backends/contract/manifests.ts';
import type { AbortOptions } from '../core/abort.ts';
import type { Address } from '../core/address.ts';
import { isVarveError } from '../core/errors.ts';

/** A segment that was asked for; without bytes when it is not stored. */
export interface FetchedSegment {
  readonly address: Address;
  readonly bytes: Uint8Array | undefined;
}

/** Reads segments by their addresses; any of them may be collected meanwhile. */
export class SegmentFetcher {
  readonly #backend: Backend;
  readonly #mostBytes: number;

  /** @param mostBytes bounds what one fetch reads, unless one segment has more. */
  constructor(backend: Backend, mostBytes: number) {
    this.#backend = backend;
    this.#mostBytes = mostBytes;
  }

  /** The bytes under an address; `undefined` when they are not stored. */
  async get(address: Address, abort: AbortOptions): Promise<Uint8Array | undefined> {
    const [locator] = await this.#backend.find([address], abort);
    if (locator === undefined) return undefined;
    try {
      return (await this.#backend.fetch([locator], abort))[0];
    } catch (error) {
      // Collected between the two calls.
      if (isVarveError(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  }

  /** Whether a segment is stored and something holds it. */
  async isHeld(address: Address, abort: AbortOptions): Promise<boolean> {
    const [locator] = await this.#backend.find([address], abort);
    if (locator === undefined) return false;
    try {
      const [description] = await this.#backend.describe([locator], abort);
      return description !== undefined && description.references > 0;
    } catch (error) {
      if (isVarveError(error, 'NOT_FOUND')) return false;
      throw error;
    }
  }

  /** One result for each address, in order, in fetches that bound memory. */
  async *getAll(
    addresses: readonly Address[],
    abort: AbortOptions,
  ): AsyncGenerator<FetchedSegment, void, undefined> {
    const locators = await this.#backend.find(addresses, abort);
    const lengths = await this.#lengths(locators, abort);
    for (let start = 0; start < addresses.length; ) {
      let end = start;
      let bytes = 0;
      do bytes += lengths[end++] ?? 0;
      while (end < addresses.length && bytes + (lengths[end] ?? 0) <= this.#mostBytes);
      yield* await this.#fetch(addresses.slice(start, end), locators.slice(start, end), abort);
      start = end;
    }
  }

  async #fetch(
    addresses: readonly Address[],
    locators: readonly (Locator | undefined)[],
    abort: AbortOptions,
  ): Promise<FetchedSegment[]> {
    try {
      const fetched = await this.#backend.fetch(locators.filter(isStored), abort);
      let next = 0;
      return addresses.map((address, i) => ({
        address,
        bytes: locators[i] === undefined ? undefined : fetched[next++],
      }));
    } catch (error) {
      if (!isVarveError(error, 'NOT_FOUND')) throw error;
      const one = async (address: Address) => ({ address, bytes: await this.get(address, abort) });
      return Promise.all(addresses.map(one));
    }
  }

  /** Canonical lengths; the longest possible where a segment has just been collected. */
  async #lengths(
    locators: readonly (Locator | undefined)[],
    abort: AbortOptions,
  ): Promise<number[]> {
    try {
      const described = await this.#backend.describe(locators.filter(isStored), abort);
      let next = 0;
      return locators.map((locator) =>
        locator === undefined ? 0 : (described[next++]?.length ?? 0),
      );
    } catch (error) {
      if (!isVarveError(error, 'NOT_FOUND')) throw error;
      return locators.map(() => MAX_SEGMENT_BYTES);
    }
  }
}

function isStored(locator: Locator | undefined): locator is Locator {
  return locator !== undefined;
}
