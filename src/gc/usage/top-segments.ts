import type { ManifestKey } from '../../backends/contract/manifests.ts';
import type { SurveyedSegment } from '../../backends/contract/usage.ts';
import type { Address } from '../../core/address.ts';

/** A segment that is stored once and referenced often. */
export interface SharedSegment {
  readonly address: Address;
  readonly encoding: 'bytes' | 'tokens';
  /** Canonical bytes. */
  readonly length: number;
  readonly references: number;
  /** What sharing saves before compression: its length for every reference but one. */
  readonly savedBytes: number;
  /** One of the manifests that reference it. */
  readonly example: ManifestKey;
}

/** Keeps those of the offered segments that save most, each once, in bounded memory. */
export class TopSegments {
  readonly #size: number;
  readonly #best = new Map<Address, SharedSegment>();
  /** What a newcomer has to exceed once there are enough. */
  #least = 0;

  constructor(size: number) {
    this.#size = size;
  }

  offer({ address, encoding, length, references }: SurveyedSegment, example: ManifestKey): void {
    const savedBytes = length * (references - 1);
    if (this.#size === 0 || savedBytes <= this.#least || this.#best.has(address)) return;
    this.#best.set(address, { address, encoding, length, references, savedBytes, example });
    if (this.#best.size > this.#size) {
      const last = this.list().at(-1);
      if (last !== undefined) this.#best.delete(last.address);
    }
    if (this.#best.size === this.#size) this.#least = this.list().at(-1)?.savedBytes ?? 0;
  }

  /** Those that save most first; ties by address. */
  list(): SharedSegment[] {
    return [...this.#best.values()].sort(
      (a, b) => b.savedBytes - a.savedBytes || (a.address < b.address ? -1 : 1),
    );
  }
}
