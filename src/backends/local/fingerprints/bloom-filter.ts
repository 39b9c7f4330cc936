import { FINGERPRINT_BITS } from '../format/fingerprint.ts';

/**
 * A blocked Bloom filter (Putze, Sanders, Singler, "Cache-, hash- and space-efficient Bloom
 * filters", 2007) over fingerprints, which are already uniform: one 64-byte block per key, 6 bits
 * in it, 10 bits per key in all; about 1.3 % of absent keys pass.
 */
const BITS_PER_KEY = 10;
const BLOCK_BYTES = 64;
const PROBES = 3;

export function filterBytes(keys: number): number {
  return Math.max(1, Math.ceil((keys * BITS_PER_KEY) / (BLOCK_BYTES * 8))) * BLOCK_BYTES;
}

export function addToFilter(filter: Uint8Array, key: number): void {
  const base = blockOf(filter, key);
  let first = mix(key, 0x9e3779b1);
  let second = mix(key, 0x85ebca6b);
  for (let probe = 0; probe < PROBES; probe++) {
    set(filter, base, first & 511);
    set(filter, base, second & 511);
    first >>>= 9;
    second >>>= 9;
  }
}

/** Returns false only for a key that was never added. */
export function mayContain(filter: Uint8Array, key: number): boolean {
  const base = blockOf(filter, key);
  let first = mix(key, 0x9e3779b1);
  let second = mix(key, 0x85ebca6b);
  for (let probe = 0; probe < PROBES; probe++) {
    if (!has(filter, base, first & 511) || !has(filter, base, second & 511)) return false;
    first >>>= 9;
    second >>>= 9;
  }
  return true;
}

/** Ascending keys have ascending blocks, so building and probing in key order is cache-friendly. */
function blockOf(filter: Uint8Array, key: number): number {
  return Math.floor((key / 2 ** FINGERPRINT_BITS) * (filter.length / BLOCK_BYTES)) * BLOCK_BYTES;
}

function mix(key: number, multiplier: number): number {
  const low = (key % 2 ** 32) >>> 0;
  const high = Math.floor(key / 2 ** 32);
  let value = Math.imul(low ^ Math.imul(high, 0xc2b2ae35), multiplier);
  value ^= value >>> 15;
  return Math.imul(value, 0x27d4eb2f) >>> 0;
}

function set(filter: Uint8Array, base: number, bit: number): void {
  const at = base + (bit >>> 3);
  filter[at] = (filter[at] as number) | (1 << (bit & 7));
}

function has(filter: Uint8Array, base: number, bit: number): boolean {
  return ((filter[base + (bit >>> 3)] as number) & (1 << (bit & 7))) !== 0;
}
