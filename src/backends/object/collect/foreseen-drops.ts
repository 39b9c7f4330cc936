import type { Address } from '../../../core/address.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import { manifestObjectKey, referrerOf } from '../format/keys.ts';
import type { DroppedReference } from '../format/manifest-record.ts';
import { type Sidecar, type Token, tokenOf } from '../format/sidecar.ts';
import { drop } from '../tables/sidecar-changes.ts';

/**
 * In a dry run: the references that a run would have dropped by now, so that it judges segments as
 * the run would.
 */
export class ForeseenDrops {
  readonly #tokens = new Map<Address, Set<Token>>();
  readonly #manifests = new Set<string>();

  add(key: ManifestKey, dropped: Iterable<DroppedReference>): void {
    const objectKey = manifestObjectKey(key);
    this.#manifests.add(objectKey);
    for (const { address, attempt } of dropped) {
      const token = tokenOf(referrerOf(objectKey), attempt);
      const known = this.#tokens.get(address);
      if (known === undefined) this.#tokens.set(address, new Set([token]));
      else known.add(token);
    }
  }

  /** Whether a run would have written the manifest's object by now: then nothing in it is stale. */
  hasTouched(key: ManifestKey): boolean {
    return this.#manifests.has(manifestObjectKey(key));
  }

  /** Whether a run would have dropped the reference by now. */
  drops(address: Address, token: Token): boolean {
    return this.#tokens.get(address)?.has(token) ?? false;
  }

  addresses(): Address[] {
    return [...this.#tokens.keys()];
  }

  /** The sidecar as a run would have left it. */
  applyTo(address: Address, sidecar: Sidecar, now: number): Sidecar {
    const tokens = this.#tokens.get(address);
    if (tokens === undefined) return sidecar;
    const changed = drop(tokens, () => now)(sidecar, 0);
    return changed === undefined
      ? sidecar
      : { ...sidecar, ...changed, refCount: changed.refs.length };
  }
}
