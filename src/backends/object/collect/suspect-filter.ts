import type { Address } from '../../../core/address.ts';

/** Bits for each address: one address in 16 that was not added passes nevertheless. */
const BITS = 16;

/** Digits of an address that a number holds exactly. */
const DIGITS = 12;

/** A set of addresses in two bytes each, that has some others, too. */
export class SuspectFilter {
  readonly #bits: Uint8Array;

  /** @param size how many addresses will be added. */
  constructor(size: number) {
    this.#bits = new Uint8Array(Math.ceil((size * BITS) / 8));
  }

  add(address: Address): void {
    const [byte, mask] = this.#placeOf(address);
    this.#bits[byte] = (this.#bits[byte] as number) | mask;
  }

  has(address: Address): boolean {
    const [byte, mask] = this.#placeOf(address);
    return ((this.#bits[byte] as number) & mask) !== 0;
  }

  /** An address is a hash, so a part of it is one, too. */
  #placeOf(address: Address): [byte: number, mask: number] {
    const bit = Number.parseInt(address.slice(0, DIGITS), 16) % (this.#bits.length * 8);
    return [Math.floor(bit / 8), 1 << (bit % 8)];
  }
}
