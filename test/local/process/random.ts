/**
 * Numbers that look random and are the same for the same seed (mulberry32, public domain, by Tommy
 * Ettinger).
 */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 inclusive to 1 exclusive. */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let value = this.#state;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from 0 inclusive to `bound` exclusive. */
  below(bound: number): number {
    return Math.floor(this.fraction() * bound);
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let at = 0; at < length; at++) bytes[at] = this.below(256);
    return bytes;
  }

  /** Words in a row: text that compresses somewhat. */
  text(words: number): string {
    return Array.from({ length: words }, () => WORDS[this.below(WORDS.length)]).join(' ');
  }
}

const WORDS =
  'silt clay sand ice melt lake summer winter layer core pollen ash year count drill thin dark pale'.split(
    ' ',
  );
