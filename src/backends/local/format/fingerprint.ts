/**
 * Bits of a hash in a fingerprint. At ten million entries one lookup in a hundred thousand collides
 * with something else, and compares the full address or name in vain; fewer bits would save little.
 */
export const FINGERPRINT_BITS = 40;

/** A pair of fingerprint and id. Fingerprints repeat when two hashes collide. */
export interface FingerprintEntry {
  readonly key: number;
  readonly id: number;
}
