import type { Address } from '../../../core/address.ts';

/** Addresses in each of the two generations: about 10 MB each when full. */
const GENERATION = 50_000;

/**
 * Caches which record has an address, for segments that are referenced again and again. Two
 * generations: an address that was not used while one filled up is evicted. Clear it whenever
 * records may have been swept (the index's epoch).
 */
export class AddressCache {
  #young = new Map<Address, number>();
  #old = new Map<Address, number>();

  get(address: Address): number | undefined {
    const young = this.#young.get(address);
    if (young !== undefined) return young;
    const old = this.#old.get(address);
    if (old !== undefined) this.set(address, old);
    return old;
  }

  set(address: Address, record: number): void {
    this.#young.set(address, record);
    if (this.#young.size >= GENERATION) {
      this.#old = this.#young;
      this.#young = new Map();
    }
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }
}
