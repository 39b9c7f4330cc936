import type { Address } from '../../address.ts';
import { isVarveError } from '../../errors.ts';
import type { Finding, ManifestKey } from '../backend.ts';
import type { Hints } from './hints.ts';
import { segmentKey, sidecarKey } from './keys.ts';
import { forEach, type Protocol } from './protocol.ts';
import type { ReferenceScan, SegmentReferences } from './reference-scan.ts';
import { decodeSegment } from './segment-data.ts';
import { type Generation, parseGeneration, type Sidecar, type SidecarContent, type Token } from './sidecar.ts';
import { markDamaged, release, restore } from './sidecar-changes.ts';

/** What a listing shows of one segment. */
export interface ListedSegment {
  readonly address: Address;
  readonly hasSidecar: boolean;
  readonly generations: readonly Generation[];
}

/** A finding, and what mends it. */
export interface Diagnosis {
  readonly finding: Omit<Finding, 'repaired'>;
  /** Returns whether it is mended. Idempotent, and safe beside everything. */
  readonly mend: (() => Promise<boolean>) | undefined;
}

export interface SegmentAudit {
  readonly diagnoses: readonly Diagnosis[];
  readonly sidecar: Sidecar | undefined;
  /** Canonical bytes that were read and re-hashed. */
  readonly verifiedBytes: number;
}

const MAX_MANIFESTS = 100;

/**
 * Compares one segment's data and sidecar with what the manifests say. The scan of the manifests is older than what is read here, so
 * whatever looks wrong is asked of the manifests again before it is called a finding.
 */
export class SegmentAuditor {
  readonly #protocol: Protocol;
  readonly #scan: ReferenceScan;
  readonly #hints: Hints;

  constructor(protocol: Protocol, scan: ReferenceScan, hints: Hints) {
    this.#protocol = protocol;
    this.#scan = scan;
    this.#hints = hints;
  }

  async audit(listed: ListedSegment, isSampled: boolean): Promise<SegmentAudit> {
    const { address } = listed;
    const references = this.#scan.of(address);
    let sidecar: Sidecar | undefined;
    try {
      sidecar = await this.#protocol.sidecars.read(address);
    } catch (error) {
      if (!isVarveError(error, 'CORRUPT')) throw error;
      return { diagnoses: [this.#unreadableSidecar(listed, references)], sidecar, verifiedBytes: 0 };
    }
    if (sidecar === undefined) {
      return { diagnoses: await this.#withoutSidecar(listed, references), sidecar, verifiedBytes: 0 };
    }
    const diagnoses = [
      ...(await this.#missingData(listed, sidecar, references)),
      ...(await this.#counts(address, sidecar, references)),
      ...this.#deadGenerations(listed, sidecar, references),
    ];
    let verifiedBytes = 0;
    const isStored = isUsable(sidecar) && listed.generations.includes(sidecar.gen);
    if (isStored && isSampled) {
      const damage = await this.#verify(address, sidecar, references);
      if (damage === undefined) verifiedBytes = parseGeneration(sidecar.gen).length;
      else diagnoses.push(damage);
    }
    return { diagnoses, sidecar, verifiedBytes };
  }

  /** Data that a committed manifest needs and that is not there. */
  async #missingData(
    listed: ListedSegment,
    sidecar: Sidecar | undefined,
    references: SegmentReferences | undefined,
  ): Promise<Diagnosis[]> {
    const { address } = listed;
    const suspects = [...(references?.held ?? [])].filter(([, { gen }]) => !listed.generations.includes(gen));
    const confirmed = await forEach(suspects, async ([token, reference]) => {
      if ((await this.#protocol.store.head(segmentKey(address, reference.gen))) !== undefined) return [];
      return (await this.#scan.isHeld(address, token, reference.gen)) ? [reference] : [];
    });
    const missing = confirmed.flat();
    const [first] = missing;
    if (first === undefined) return [];
    const canHeal = sidecar !== undefined && isUsable(sidecar) && sidecar.gen === first.gen;
    return [
      {
        finding: {
          kind: 'missing-data',
          message: `the data of segment ${address} is gone`,
          address,
          location: segmentKey(address, first.gen),
          manifests: missing.map(({ key }) => key).slice(0, MAX_MANIFESTS),
          repair: canHeal ? HEALING : 'none',
          harmful: true,
        },
        mend: canHeal ? () => this.#markDamaged(address, first.gen) : undefined,
      },
    ];
  }

  async #counts(address: Address, sidecar: Sidecar, references: SegmentReferences | undefined): Promise<Diagnosis[]> {
    if (sidecar.hot) return [];
    const diagnoses: Diagnosis[] = [];
    const location = sidecarKey(address);
    const named = new Set(sidecar.refs);
    const suspects = [...(references?.held ?? [])].filter(
      ([token, { gen }]) => gen === sidecar.gen && !named.has(token),
    );
    const unnamed = (
      await forEach(suspects, async ([token, { key, gen }]) =>
        (await this.#scan.isHeld(address, token, gen)) && !(await this.#isNamed(address, token))
          ? [{ token, key }]
          : [],
      )
    ).flat();
    if (unnamed.length > 0) {
      diagnoses.push({
        finding: {
          kind: 'wrong-count',
          message: `segment ${address} counts ${unnamed.length} too few references: it might be collected although it is in use`,
          address,
          location,
          manifests: unnamed.map(({ key }) => key).slice(0, MAX_MANIFESTS),
          repair: 'the references are counted',
          harmful: false,
        },
        mend: () =>
          this.#restore(
            address,
            unnamed.map(({ token }) => token),
          ),
      });
    }
    const leaked = await this.#scan.leaked(address, sidecar.refs);
    if (leaked.length > 0) {
      diagnoses.push({
        finding: {
          kind: 'wrong-count',
          message: `segment ${address} counts ${leaked.length} references that no manifest has: it could never be collected`,
          address,
          location,
          manifests: [],
          repair: 'the references are no longer counted',
          harmful: false,
        },
        mend: () => this.#release(address, leaked),
      });
    }
    if (sidecar.refCount !== sidecar.refs.length) {
      diagnoses.push({
        finding: {
          kind: 'wrong-count',
          message: `the sidecar of segment ${address} names ${sidecar.refs.length} references and says ${sidecar.refCount}`,
          address,
          location,
          manifests: [],
          repair: 'the number is set right',
          harmful: false,
        },
        mend: () => this.#rewrite(address),
      });
    }
    return diagnoses;
  }

  /** Data of lives of the segment that are over: late writes, and what a dead collector did not get to. */
  #deadGenerations(
    { address, generations }: ListedSegment,
    sidecar: Sidecar,
    references: SegmentReferences | undefined,
  ): Diagnosis[] {
    const held = new Set([...(references?.held.values() ?? [])].map(({ gen }) => gen));
    const dead = generations.filter((gen) => (gen !== sidecar.gen || sidecar.state === 'gone') && !held.has(gen));
    return dead.map((gen) => this.#orphan(address, gen, 'belongs to a life of it that is over'));
  }

  /** Rule 9: a half-restored mirror looks like this, so nothing is deleted that any manifest could need. */
  async #withoutSidecar(listed: ListedSegment, references: SegmentReferences | undefined): Promise<Diagnosis[]> {
    const { address, generations } = listed;
    const missing = await this.#missingData(listed, undefined, references);
    const diagnoses = [...missing];
    for (const gen of generations) {
      const held = [...(references?.held ?? [])].filter(([, reference]) => reference.gen === gen);
      if (held.length === 0) {
        if ((references?.announced.size ?? 0) === 0) diagnoses.push(this.#orphan(address, gen, 'has no sidecar'));
        continue;
      }
      diagnoses.push({
        finding: {
          kind: 'unindexed',
          message: `segment ${address} has data and no sidecar`,
          address,
          location: segmentKey(address, gen),
          manifests: held.map(([, { key }]) => key).slice(0, MAX_MANIFESTS),
          repair: 'the sidecar is made again from what the manifests say',
          harmful: false,
        },
        mend: () =>
          this.#recreate(
            address,
            gen,
            held.map(([token]) => token),
          ),
      });
    }
    return diagnoses;
  }

  #unreadableSidecar(listed: ListedSegment, references: SegmentReferences | undefined): Diagnosis {
    const { address } = listed;
    const held = [...(references?.held ?? [])];
    const gen = held[0]?.[1].gen ?? listed.generations[0];
    return {
      finding: {
        kind: 'unindexed',
        message: `the sidecar of segment ${address} cannot be read`,
        address,
        location: sidecarKey(address),
        manifests: manifestsOf(references),
        repair: gen === undefined ? 'none' : 'the sidecar is made again from what the manifests say',
        harmful: false,
      },
      mend:
        gen === undefined
          ? undefined
          : () => {
              const refs = [...held.map(([token]) => token), ...(references?.announced ?? [])];
              return this.#protocol.sidecars.replaceDamaged(address, this.#content(gen, refs));
            },
    };
  }

  #orphan(address: Address, gen: Generation, why: string): Diagnosis {
    const location = segmentKey(address, gen);
    return {
      finding: {
        kind: 'orphaned-data',
        message: `data of segment ${address} ${why}`,
        address,
        location,
        manifests: [],
        repair: 'it is deleted',
        harmful: false,
      },
      mend: async () => {
        await this.#protocol.store.delete([location]);
        return true;
      },
    };
  }

  async #verify(
    address: Address,
    { gen }: Sidecar,
    references: SegmentReferences | undefined,
  ): Promise<Diagnosis | undefined> {
    const location = segmentKey(address, gen);
    const object = await this.#protocol.store.get(location);
    // Collected since it was listed.
    if (object === undefined) return undefined;
    try {
      decodeSegment(object.body, address, gen);
      return undefined;
    } catch (error) {
      if (!isVarveError(error)) throw error;
      const manifests = manifestsOf(references);
      return {
        finding: {
          kind: 'corrupt-data',
          message: `the data of segment ${address} is damaged: ${error.message}`,
          address,
          location,
          manifests,
          repair: HEALING,
          harmful: manifests.length > 0,
        },
        mend: () => this.#markDamaged(address, gen),
      };
    }
  }

  /** Damage is not mended by knowing of it: the next put of the same bytes does that. */
  async #markDamaged(address: Address, gen: Generation): Promise<boolean> {
    await this.#hints.announceDamage(address);
    await this.#protocol.sidecars.change(address, markDamaged(gen));
    return false;
  }

  async #restore(address: Address, tokens: readonly Token[]): Promise<boolean> {
    const sidecar = await this.#protocol.sidecars.change(address, restore(tokens));
    return tokens.every((token) => sidecar?.refs.includes(token));
  }

  async #release(address: Address, tokens: readonly Token[]): Promise<boolean> {
    const since = () => this.#protocol.serverClock.latest();
    await this.#hints.write({ segments: [address], manifests: [] });
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

  async #recreate(address: Address, gen: Generation, refs: readonly Token[]): Promise<boolean> {
    const sidecar = await this.#protocol.sidecars.change(
      address,
      (stored) => (stored === undefined ? this.#content(gen, refs) : undefined),
      { assumeAbsent: true },
    );
    return sidecar?.gen === gen;
  }

  #content(gen: Generation, refs: readonly Token[]): SidecarContent {
    return { gen, state: 'live', refs, ...(refs.length === 0 && { since: this.#protocol.serverClock.latest() }) };
  }

  async #isNamed(address: Address, token: Token): Promise<boolean> {
    const sidecar = await this.#protocol.sidecars.read(address);
    return sidecar?.hot === true || (sidecar?.refs.includes(token) ?? false);
  }
}

const HEALING = 'it is marked, and healed by the next put of the same bytes';

function isUsable({ state }: Sidecar): boolean {
  return state === 'live' || state === 'uploading';
}

function manifestsOf(references: SegmentReferences | undefined): ManifestKey[] {
  return [...(references?.held.values() ?? [])].map(({ key }) => key).slice(0, MAX_MANIFESTS);
}
