import type { Address } from '../../core/address.ts';

/**
 * Makes ids for records without one: `line-` and the first 32 hex digits of the SHA-256 of the
 * record's bytes; from the second occurrence within an import on, also `-` and its number. So
 * importing the same file again finds the same ids. If two different records ever had the same
 * digits, their content would distinguish them.
 */
export function derivedId(address: Address, occurrence: number): string {
  const id = `line-${address.slice(0, 32)}`;
  return occurrence === 1 ? id : `${id}-${occurrence}`;
}

/**
 * Counts occurrences of records by their derived ids in 12 bytes per slot, at most three quarters
 * full: open addressing with linear probing on the first 64 bits. If two records share these bits,
 * one merely gets a higher number.
 */
export class OccurrenceCounter {
  #slots = new Uint32Array(3 * 1024);
  #used = 0;

  /** Returns how often this id of occurrence 1 was counted, including this time. */
  count(id: string): number {
    const digits = id.slice(5, 21);
    const high = Number.parseInt(digits.slice(0, 8), 16);
    const low = Number.parseInt(digits.slice(8), 16);
    const at = this.#find(high, low);
    const count = (this.#slots[at + 2] as number) + 1;
    this.#slots[at] = high;
    this.#slots[at + 1] = low;
    this.#slots[at + 2] = count;
    if (count === 1 && ++this.#used * 4 > this.#slots.length) this.#grow();
    return count;
  }

  #find(high: number, low: number): number {
    const slots = this.#slots;
    const size = slots.length / 3;
    let slot = low % size;
    while (slots[slot * 3 + 2] !== 0 && (slots[slot * 3] !== high || slots[slot * 3 + 1] !== low))
      slot = (slot + 1) % size;
    return slot * 3;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    for (let at = 0; at < old.length; at += 3) {
      if (old[at + 2] === 0) continue;
      const to = this.#find(old[at] as number, old[at + 1] as number);
      this.#slots.set(old.subarray(at, at + 3), to);
    }
  }
}
