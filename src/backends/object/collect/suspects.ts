import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { referrerOf } from '../format/keys.ts';
import { type Generation, type Sidecar, tokenOf } from '../format/sidecar.ts';
import { walkManifests } from '../listing/manifest-walk.ts';
import type { FoundReference, ReferenceRepair } from '../segments/reference-repair.ts';
import { isUsable } from '../tables/sidecar-changes.ts';
import type { CollectRun } from './collect-run.ts';
import type { Verdict } from './judge.ts';

/** Suspects that one reading of all manifests clears or confirms: bounds the memory. */
const MOST_SUSPECTS = 100_000;

/**
 * Segments that look like garbage to a full collection, by what their sidecars say. A sidecar may
 * be wrong, so all manifests are read first (rule `ask-manifests-before-sweeping`): a segment that
 * one of them names stays, and its sidecar is repaired. Where nothing is suspect, no manifest is
 * read.
 */
export class Suspects {
  readonly #run: CollectRun;
  readonly #repair: ReferenceRepair;
  readonly #sweep: (addresses: readonly Address[]) => Promise<unknown>;
  readonly #sidecars = new Map<Address, Sidecar>();

  /** @param sweep collects segments that no manifest names. */
  constructor(
    run: CollectRun,
    repair: ReferenceRepair,
    sweep: (addresses: readonly Address[]) => Promise<unknown>,
  ) {
    this.#run = run;
    this.#repair = repair;
    this.#sweep = sweep;
  }

  /** Adds the segments that are due. */
  async add(verdicts: readonly Verdict[]): Promise<void> {
    for (const { address, outcome, sidecar } of verdicts) {
      if (outcome === 'due' && sidecar !== undefined) this.#sidecars.set(address, sidecar);
    }
    if (this.#sidecars.size >= MOST_SUSPECTS) await this.sweepUnnamed();
  }

  /** Reads all manifests, keeps the suspects that they name, and sweeps the others. */
  async sweepUnnamed(): Promise<void> {
    const suspects = new Map(this.#sidecars);
    this.#sidecars.clear();
    if (suspects.size === 0) return;
    const named = await this.#findReferences(suspects);
    if (named === undefined) return;
    if (!this.#run.scope.dryRun) {
      await mapAll(named, ([address, references]) =>
        this.#keep(address, suspects.get(address) as Sidecar, references),
      );
    }
    await this.#sweep([...suspects.keys()].filter((address) => !named.has(address)));
  }

  /**
   * The references of committed manifests to suspects; `undefined` when the deadline came first.
   */
  async #findReferences(
    suspects: ReadonlyMap<Address, Sidecar>,
  ): Promise<Map<Address, FoundReference[]> | undefined> {
    const { protocol, scope, foreseen } = this.#run;
    const found = new Map<Address, FoundReference[]>();
    const note = (address: Address, reference: FoundReference) => {
      if (suspects.get(address)?.gen !== reference.gen || foreseen.drops(address, reference.token))
        return;
      const known = found.get(address);
      if (known === undefined) found.set(address, [reference]);
      else known.push(reference);
    };
    for await (const { object, seen } of walkManifests(protocol, scope.signal)) {
      if (scope.isOver()) return undefined;
      const { key, current } = seen.record ?? {};
      for (const [address, { gen, attempt }] of current?.references ?? []) {
        if (key !== undefined)
          note(address, { token: tokenOf(referrerOf(object.key), attempt), key, gen });
      }
    }
    return found;
  }

  async #keep(address: Address, sidecar: Sidecar, found: readonly FoundReference[]): Promise<void> {
    // A reference that was dropped meanwhile is left to the next run.
    const references = await this.#repair.confirm(address, found);
    if (isUsable(sidecar)) {
      await this.#repair.count(
        address,
        references.map(({ token }) => token),
      );
    } else await this.#repair.move(address, references, new Set<Generation>([sidecar.gen]));
  }
}
