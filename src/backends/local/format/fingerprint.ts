/**
 * Bits of a hash that make a fingerprint. At ten million entries one lookup in a hundred thousand
 * meets the fingerprint of something else, and then compares the full address or name in vain;
 * fewer bits would save little.
 */
export const FINGERPRINT_BITS = 40;

/** A pair of fingerprint and id. Fingerprints repeat where two things collide. */
export interface FingerprintEntry {
  readonly key: number;
  readonly id: number;
}
