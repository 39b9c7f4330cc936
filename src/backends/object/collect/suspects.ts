import type { Address } from '../../../core/address.ts';
import { holderOf } from '../format/keys.ts';
import { type Generation, type Sidecar, tokenOf } from '../format/sidecar.ts';
import { walkManifests } from '../listing/manifest-walk.ts';
import type { FoundHold, HoldRepair } from '../segments/hold-repair.ts';
import type { Protocol } from '../tables/protocol.ts';
import { isUsable } from '../tables/sidecar-changes.ts';
import type { CollectScope } from './collect-scope.ts';
import type { ForeseenReleases } from './foreseen-releases.ts';
import type { Look } from './sweep.ts';

/** Suspects that one reading of all manifests clears or convicts: bounds what is in memory. */
const MOST_SUSPECTS = 100_000;

export interface SuspectContext {
  readonly protocol: Protocol;
  readonly scope: CollectScope;
  readonly foreseen: ForeseenReleases;
  readonly repair: HoldRepair;
  /** Collects segments that no manifest names. */
  readonly collect: (addresses: readonly Address[]) => Promise<unknown>;
}

/**
 * Segments that a full collection takes for garbage, by what their sidecars say. A sidecar may be
 * wrong, so all manifests are asked first (rule `ask-manifests-before-sweeping`): what one names
 * stays, and is counted again. Nothing is read where nothing seems to be garbage.
 */
export class Suspects {
  readonly #context: SuspectContext;
  readonly #sidecars = new Map<Address, Sidecar>();

  constructor(context: SuspectContext) {
    this.#context = context;
  }

  /** Takes in what may be collected. */
  async add(looks: readonly Look[]): Promise<void> {
    for (const { verdict, sidecar, isDue } of looks) {
      if (isDue && sidecar !== undefined) this.#sidecars.set(verdict.address, sidecar);
    }
    if (this.#sidecars.size >= MOST_SUSPECTS) await this.judge();
  }

  /** Collects those that no manifest names. */
  async judge(): Promise<void> {
    const suspects = new Map(this.#sidecars);
    this.#sidecars.clear();
    if (suspects.size === 0) return;
    const named = await this.#findHolds(suspects);
    if (named === undefined) return;
    for (const [address, holds] of named) {
      if (!this.#context.scope.dryRun)
        await this.#keep(address, suspects.get(address) as Sidecar, holds);
    }
    await this.#context.collect([...suspects.keys()].filter((address) => !named.has(address)));
  }

  /** What committed manifests hold of the suspects; `undefined` when the deadline came first. */
  async #findHolds(
    suspects: ReadonlyMap<Address, Sidecar>,
  ): Promise<Map<Address, FoundHold[]> | undefined> {
    const { protocol, scope, foreseen } = this.#context;
    const found = new Map<Address, FoundHold[]>();
    const note = (address: Address, hold: FoundHold) => {
      if (suspects.get(address)?.gen !== hold.gen || foreseen.releases(address, hold.token)) return;
      const known = found.get(address);
      if (known === undefined) found.set(address, [hold]);
      else known.push(hold);
    };
    const isWhole = await walkManifests(
      protocol,
      {
        onRecord: (objectKey, { record }) => {
          for (const [address, { gen, nonce }] of record?.current?.holds ?? []) {
            if (record !== undefined)
              note(address, { token: tokenOf(holderOf(objectKey), nonce), key: record.key, gen });
          }
        },
        isOver: () => scope.isOver(),
      },
      scope.signal,
    );
    return isWhole ? found : undefined;
  }

  async #keep(address: Address, sidecar: Sidecar, found: readonly FoundHold[]): Promise<void> {
    const { repair } = this.#context;
    // What was let go of meanwhile is left to the next run.
    const holds = await repair.confirm(address, found);
    if (isUsable(sidecar)) {
      await repair.count(
        address,
        holds.map(({ token }) => token),
      );
    } else await repair.move(address, holds, new Set<Generation>([sidecar.gen]));
  }
}
