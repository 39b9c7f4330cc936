import type { Address } from '../../../core/address.ts';
import type { CollectReason, CollectReport, CollectShare } from '../../contract/collection.ts';
import { parseGeneration } from '../format/sidecar.ts';
import type { Verdict } from './judge.ts';

/** Adds up what a collection reports. Each segment counts once. */
export class CollectTally {
  /** Expired manifests. */
  readonly expired = { count: 0, bytes: 0 };
  /** Attempts that their writers left unfinished. */
  abandoned = 0;
  readonly #counted = new Set<Address>();
  readonly #collected = { count: 0, bytes: 0 };
  readonly #waiting = { count: 0, bytes: 0 };
  #freedBytes = 0;

  /** Whether a segment was counted as collected, waiting or unreadable. */
  has(address: Address): boolean {
    return this.#counted.has(address);
  }

  add(verdicts: readonly Verdict[]): void {
    for (const { address, outcome, sidecar, storedBytes } of verdicts) {
      if (outcome === 'due' || outcome === 'not-garbage' || this.#counted.has(address)) continue;
      this.#counted.add(address);
      if (outcome === 'unreadable' || sidecar === undefined) continue;
      const total = outcome === 'collected' ? this.#collected : this.#waiting;
      total.count++;
      total.bytes += parseGeneration(sidecar.gen).length;
      this.#freedBytes += storedBytes;
    }
  }

  report(): Pick<
    CollectReport,
    | 'reasons'
    | 'expiredManifests'
    | 'collectedSegments'
    | 'collectedBytes'
    | 'waitingSegments'
    | 'waitingBytes'
    | 'freedBytes'
  > {
    const reasons: [CollectReason, CollectShare][] = [
      ['abandoned-upload', { count: this.abandoned, bytes: 0 }],
      ['expired', { ...this.expired }],
      ['unreferenced', { ...this.#collected }],
    ];
    return {
      reasons: Object.fromEntries(reasons.filter(([, { count }]) => count > 0)),
      expiredManifests: this.expired.count,
      collectedSegments: this.#collected.count,
      collectedBytes: this.#collected.bytes,
      waitingSegments: this.#waiting.count,
      waitingBytes: this.#waiting.bytes,
      freedBytes: this.#freedBytes,
    };
  }
}
