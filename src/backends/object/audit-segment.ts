import type { Address } from '../../address.ts';
import { isUnreadable, isVarveError, type VarveError } from '../../errors.ts';
import type { Finding } from '../maintenance.ts';
import type { ManifestKey } from '../manifests.ts';
import { CountAuditor } from './audit-counts.ts';
import { type Diagnosis, firstOf, holdersOf, MARKED, TO_MARK } from './diagnosis.ts';
import type { Hints } from './hints.ts';
import { segmentKey, sidecarKey } from './keys.ts';
import { forEach, type Protocol } from './protocol.ts';
import type { ReferenceScan, SegmentReferences } from './reference-scan.ts';
import { decodeSegment } from './segment-data.ts';
import type { ListedSegment } from './segment-listing.ts';
import { type Generation, parseGeneration, type Sidecar, type SidecarContent, type Token } from './sidecar.ts';
import { markDamaged } from './sidecar-changes.ts';

export interface SegmentAudit {
  readonly diagnoses: readonly Diagnosis[];
  readonly sidecar: Sidecar | undefined;
  /** Canonical bytes that were read and re-hashed. */
  readonly verifiedBytes: number;
}

const REBUILD = 'make the sidecar again from what the manifests say';

/**
 * Compares one segment's data and sidecar with what the manifests say. The scan of the manifests is older than what is read here, so
 * whatever looks wrong is asked of the manifests again before it is called a finding.
 */
export class SegmentAuditor {
  readonly #protocol: Protocol;
  readonly #scan: ReferenceScan;
  readonly #hints: Hints;
  readonly #counts: CountAuditor;

  constructor(protocol: Protocol, scan: ReferenceScan, hints: Hints) {
    this.#protocol = protocol;
    this.#scan = scan;
    this.#hints = hints;
    this.#counts = new CountAuditor(protocol, scan, hints);
  }

  async audit(listed: ListedSegment, isSampled: boolean): Promise<SegmentAudit> {
    const { address } = listed;
    const references = this.#scan.of(address);
    let sidecar: Sidecar | undefined;
    try {
      sidecar = await this.#protocol.sidecars.read(address);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return { diagnoses: [this.#unreadableSidecar(listed, references, error)], sidecar, verifiedBytes: 0 };
    }
    if (sidecar === undefined) {
      return { diagnoses: await this.#withoutSidecar(listed, references), sidecar, verifiedBytes: 0 };
    }
    const diagnoses = [
      ...(await this.#missingData(listed, sidecar, references)),
      ...(await this.#counts.audit(address, sidecar, references)),
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
      return (await this.#scan.isHeld(address, token, reference.gen)) ? [{ token, ...reference }] : [];
    });
    const missing = confirmed.flat();
    const [first] = missing;
    if (first === undefined) return [];
    const message = `the data of segment ${address} is gone`;
    const about = {
      address,
      location: segmentKey(address, first.gen),
      manifests: firstOf(missing.map(({ key }) => key)),
    };
    if (sidecar === undefined) {
      // As after the loss of a whole range of keys: what the manifests say is enough to await the bytes.
      const tokens = missing.filter(({ gen }) => gen === first.gen).map(({ token }) => token);
      return [
        {
          finding: harm('missing-data', message, about, TO_MARK),
          mend: () => this.#awaitBytes(address, first.gen, tokens),
          needsAllManifests: true,
        },
      ];
    }
    const canHeal = isUsable(sidecar) && sidecar.gen === first.gen;
    const repair = !canHeal ? 'none' : sidecar.damaged ? MARKED : TO_MARK;
    return [
      {
        finding: harm('missing-data', message, about, repair),
        mend: canHeal ? () => this.#markDamaged(address, first.gen) : undefined,
      },
    ];
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
      const tokens = held.map(([token]) => token);
      diagnoses.push({
        finding: {
          kind: 'unindexed',
          message: `segment ${address} has data and no sidecar`,
          address,
          location: segmentKey(address, gen),
          manifests: firstOf(held.map(([, { key }]) => key)),
          repair: REBUILD,
          harmful: false,
        },
        mend: () => this.#recreate(address, this.#content(gen, tokens)),
        needsAllManifests: true,
      });
    }
    return diagnoses;
  }

  #unreadableSidecar(
    listed: ListedSegment,
    references: SegmentReferences | undefined,
    { code, message }: VarveError,
  ): Diagnosis {
    const { address } = listed;
    const held = [...(references?.held ?? [])];
    const gen = held[0]?.[1].gen ?? listed.generations[0];
    // What a newer version wrote is not damaged.
    const canRebuild = gen !== undefined && code === 'CORRUPT';
    const rebuild = async (generation: Generation): Promise<boolean> => {
      const refs = [...held.map(([token]) => token), ...(references?.announced ?? [])];
      if (refs.length === 0) await this.#hints.write({ segments: [address], manifests: [] });
      return this.#protocol.sidecars.replaceDamaged(address, this.#content(generation, refs));
    };
    return {
      finding: {
        kind: 'unindexed',
        message: `the sidecar of segment ${address} cannot be read: ${message}`,
        address,
        location: sidecarKey(address),
        manifests: holdersOf(references),
        repair: canRebuild ? REBUILD : 'none',
        harmful: false,
      },
      mend: canRebuild ? () => rebuild(gen) : undefined,
      needsAllManifests: true,
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
        repair: 'delete it',
        harmful: false,
      },
      mend: async () => {
        await this.#protocol.store.delete([location]);
        return true;
      },
      needsAllManifests: true,
    };
  }

  async #verify(
    address: Address,
    { gen, damaged }: Sidecar,
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
      const manifests = holdersOf(references);
      const message = `the data of segment ${address} cannot be read: ${error.message}`;
      // What a newer version wrote is not damaged, and nothing may take its place.
      const isNewer = error.code === 'UNSUPPORTED_FORMAT';
      const repair = isNewer ? 'none' : damaged ? MARKED : TO_MARK;
      const finding = harm('corrupt-data', message, { address, location, manifests }, repair);
      return {
        finding: { ...finding, harmful: manifests.length > 0 },
        mend: isNewer ? undefined : () => this.#markDamaged(address, gen),
      };
    }
  }

  /** Damage is not mended by knowing of it: the next put of the same bytes does that. */
  async #markDamaged(address: Address, gen: Generation): Promise<boolean> {
    await this.#hints.announceDamage(address);
    await this.#protocol.sidecars.change(address, markDamaged(gen));
    return false;
  }

  /** Both the data and the sidecar are lost: makes the sidecar again, marked, for the next put of the bytes. */
  async #awaitBytes(address: Address, gen: Generation, tokens: readonly Token[]): Promise<boolean> {
    await this.#hints.announceDamage(address);
    await this.#recreate(address, { ...this.#content(gen, tokens), damaged: true });
    return false;
  }

  async #recreate(address: Address, content: SidecarContent): Promise<boolean> {
    const change = (stored: SidecarContent | undefined) => (stored === undefined ? content : undefined);
    const sidecar = await this.#protocol.sidecars.change(address, change, { assumeAbsent: true });
    return sidecar?.gen === content.gen;
  }

  #content(gen: Generation, refs: readonly Token[]): SidecarContent {
    return { gen, state: 'live', refs, ...(refs.length === 0 && { since: this.#protocol.serverClock.latest() }) };
  }
}

function harm(
  kind: 'missing-data' | 'corrupt-data',
  message: string,
  about: { readonly address: Address; readonly location: string; readonly manifests: readonly ManifestKey[] },
  repair: string,
): Omit<Finding, 'repaired'> {
  return { kind, message, ...about, repair, harmful: true };
}

function isUsable({ state }: Sidecar): boolean {
  return state === 'live' || state === 'uploading';
}
