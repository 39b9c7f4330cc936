import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import { sidecarKey } from '../format/keys.ts';
import type { Sidecar, Token } from '../format/sidecar.ts';
import type { ReferenceScan, SegmentReferences } from '../listing/reference-scan.ts';
import type { HoldRepair } from '../segments/hold-repair.ts';
import type { Hints } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import { isUsable, release } from '../tables/sidecar-changes.ts';
import { type Diagnosis, firstOf } from './diagnosis.ts';

/**
 * Compares the references that a sidecar counts with those that the manifests have. The scan of the
 * manifests is older than the sidecar, so whatever looks wrong is asked of the manifests again.
 */
export class CountAuditor {
  readonly #protocol: Protocol;
  readonly #scan: ReferenceScan;
  readonly #hints: Hints;
  readonly #holds: HoldRepair;

  constructor(protocol: Protocol, scan: ReferenceScan, hints: Hints, holds: HoldRepair) {
    this.#protocol = protocol;
    this.#scan = scan;
    this.#hints = hints;
    this.#holds = holds;
  }

  async audit(
    address: Address,
    sidecar: Sidecar,
    references: SegmentReferences | undefined,
  ): Promise<Diagnosis[]> {
    // The names of a hot segment are not kept up.
    if (sidecar.hot) return [];
    return [
      ...(await this.#tooFew(address, sidecar, references)),
      ...(await this.#tooMany(address, sidecar)),
      ...this.#misnumbered(address, sidecar),
    ];
  }

  async #tooFew(
    address: Address,
    sidecar: Sidecar,
    references: SegmentReferences | undefined,
  ): Promise<Diagnosis[]> {
    // What has given its generation up counts nothing any more: its holds are moved.
    if (!isUsable(sidecar)) return [];
    const known = new Set(sidecar.refs);
    const suspects = [...(references?.held ?? [])].filter(
      ([token, { gen }]) => gen === sidecar.gen && !known.has(token),
    );
    const confirmed = await mapAll(suspects, async ([token, { key, gen }]) =>
      (await this.#scan.isHeld(address, token, gen)) && !(await this.#isCounted(address, token))
        ? [{ token, key }]
        : [],
    );
    const uncounted = confirmed.flat();
    if (uncounted.length === 0) return [];
    const message =
      `segment ${address} counts ${counted(uncounted.length)} too few: it might be collected ` +
      'although it is in use';
    const tokens = uncounted.map(({ token }) => token);
    const finding = wrongCount(
      address,
      message,
      'count what the manifests have',
      firstOf(uncounted.map(({ key }) => key)),
    );
    return [{ finding, mend: () => this.#holds.count(address, tokens) }];
  }

  async #tooMany(address: Address, sidecar: Sidecar): Promise<Diagnosis[]> {
    const leaked = await this.#scan.leaked(address, sidecar.refs);
    if (leaked.length === 0) return [];
    const message =
      `segment ${address} counts ${counted(leaked.length)} that no manifest has: it could ` +
      'never be collected';
    const finding = wrongCount(address, message, 'count what the manifests have');
    return [{ finding, mend: () => this.#release(address, leaked), needsAllManifests: true }];
  }

  #misnumbered(address: Address, { refCount, refs }: Sidecar): Diagnosis[] {
    if (refCount === refs.length) return [];
    const message = `the sidecar of segment ${address} names ${counted(refs.length)} and says ${refCount}`;
    return [
      {
        finding: wrongCount(address, message, 'set the number right'),
        mend: () => this.#rewrite(address),
      },
    ];
  }

  async #isCounted(address: Address, token: Token): Promise<boolean> {
    const sidecar = await this.#protocol.sidecars.read(address);
    return sidecar?.hot === true || (sidecar?.refs.includes(token) ?? false);
  }

  async #release(address: Address, tokens: readonly Token[]): Promise<boolean> {
    // As with every release, what may be garbage is hinted at first (rule `hint-before-change`).
    await this.#hints.write({ segments: [address], manifests: [] });
    const since = () => this.#protocol.serverClock.latest();
    await this.#protocol.sidecars.change(address, release(new Set(tokens), since));
    return true;
  }

  async #rewrite(address: Address): Promise<boolean> {
    let isDone = false;
    await this.#protocol.sidecars.change(address, (sidecar) => {
      if (isDone || sidecar === undefined) return undefined;
      isDone = true;
      return sidecar;
    });
    return true;
  }
}

function wrongCount(
  address: Address,
  message: string,
  repair: string,
  manifests: readonly ManifestKey[] = [],
): Diagnosis['finding'] {
  return {
    kind: 'wrong-count',
    message,
    address,
    location: sidecarKey(address),
    manifests,
    repair,
    harmful: false,
  };
}

function counted(count: number): string {
  return count === 1 ? '1 reference' : `${count} references`;
}
