import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { isUnreadable, isVarveError, type VarveError } from '../../../core/errors.ts';
import type { Finding } from '../../contract/maintenance.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import { segmentKey, sidecarKey } from '../format/keys.ts';
import { decodeSegment } from '../format/segment-data.ts';
import {
  type Generation,
  parseGeneration,
  type Sidecar,
  type SidecarContent,
  type Token,
} from '../format/sidecar.ts';
import type { ReferenceScan, SegmentReferences } from '../listing/reference-scan.ts';
import type { ListedSegment } from '../listing/segment-listing.ts';
import type { FoundHold, HoldRepair } from '../segments/hold-repair.ts';
import type { Hints } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';
import { isUsable, markDamaged } from '../tables/sidecar-changes.ts';
import { CountAuditor } from './audit-counts.ts';
import { type Diagnosis, firstOf, holdersOf, MARKED, TO_MARK } from './diagnosis.ts';

export interface SegmentAudit {
  readonly diagnoses: readonly Diagnosis[];
  readonly sidecar: Sidecar | undefined;
  /** Canonical bytes that were read and re-hashed. */
  readonly verifiedBytes: number;
}

const REBUILD = 'make the sidecar again from what the manifests say';
const MOVE = 'keep the data anew, counted, and lead the manifests to it';

/**
 * Compares one segment's data and sidecar with what the manifests say. The scan of the manifests is
 * older than what is read here, so whatever looks wrong is asked of the manifests again before it
 * is called a finding.
 */
export class SegmentAuditor {
  readonly #protocol: Protocol;
  readonly #scan: ReferenceScan;
  readonly #hints: Hints;
  readonly #holds: HoldRepair;
  readonly #counts: CountAuditor;

  constructor(protocol: Protocol, scan: ReferenceScan, hints: Hints, holds: HoldRepair) {
    this.#protocol = protocol;
    this.#scan = scan;
    this.#hints = hints;
    this.#holds = holds;
    this.#counts = new CountAuditor(protocol, scan, hints, holds);
  }

  async audit(listed: ListedSegment, isSampled: boolean): Promise<SegmentAudit> {
    const { address } = listed;
    const references = this.#scan.of(address);
    let sidecar: Sidecar | undefined;
    try {
      sidecar = await this.#protocol.sidecars.read(address);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return {
        diagnoses: [this.#unreadableSidecar(listed, references, error)],
        sidecar,
        verifiedBytes: 0,
      };
    }
    if (sidecar === undefined) {
      return {
        diagnoses: await this.#withoutSidecar(listed, references),
        sidecar,
        verifiedBytes: 0,
      };
    }
    const diagnoses = [
      ...(await this.#brokenHolds(listed, sidecar, references)),
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

  /**
   * Holds of committed manifests that cannot be read, or that nothing protects: the sidecar has
   * another generation, or has given theirs up.
   */
  async #brokenHolds(
    { address, generations }: ListedSegment,
    sidecar: Sidecar | undefined,
    references: SegmentReferences | undefined,
  ): Promise<Diagnosis[]> {
    const isCounted = (gen: Generation) =>
      sidecar === undefined || (sidecar.gen === gen && isUsable(sidecar));
    const suspects = [...(references?.held ?? [])].map(([token, reference]) => ({
      token,
      ...reference,
    }));
    const broken = await mapAll(suspects, async (hold) => {
      const isListed = generations.includes(hold.gen);
      if (isListed && isCounted(hold.gen)) return [];
      const isStored =
        isListed || (await this.#protocol.store.head(segmentKey(address, hold.gen))) !== undefined;
      if (isStored && isCounted(hold.gen)) return [];
      return (await this.#scan.isHeld(address, hold.token, hold.gen))
        ? [{ ...hold, isStored }]
        : [];
    });
    const holds = broken.flat();
    const missing = holds.filter(({ isStored }) => !isStored);
    const stray = holds.filter(({ isStored }) => isStored);
    const mend = () =>
      this.#holds.move(address, holds, [...stray.map(({ gen }) => gen), ...generations]);
    const aboutHolds = (some: readonly FoundHold[]) => ({
      address,
      location: segmentKey(address, (some[0] as FoundHold).gen),
      manifests: firstOf(some.map(({ key }) => key)),
    });
    const diagnoses: Diagnosis[] = [];
    if (missing.length > 0) {
      const isElsewhere = stray.length > 0 || generations.length > 0;
      const repair = isElsewhere ? MOVE : sidecar?.damaged ? MARKED : TO_MARK;
      const message = `the data of segment ${address} is gone`;
      diagnoses.push({ finding: harm('missing-data', message, aboutHolds(missing), repair), mend });
    }
    if (stray.length > 0) {
      const message = `the data of segment ${address} is in use, and its sidecar has given it up`;
      const about = { ...aboutHolds(stray), repair: MOVE, harmful: false };
      diagnoses.push({ finding: { kind: 'unindexed', message, ...about }, mend });
    }
    return diagnoses;
  }

  /**
   * Data of lives of the segment that are over: late writes, and what a dead collector did not get
   * to.
   */
  #deadGenerations(
    { address, generations }: ListedSegment,
    sidecar: Sidecar,
    references: SegmentReferences | undefined,
  ): Diagnosis[] {
    const held = new Set([...(references?.held.values() ?? [])].map(({ gen }) => gen));
    const dead = generations.filter(
      (gen) => (gen !== sidecar.gen || sidecar.state === 'gone') && !held.has(gen),
    );
    return dead.map((gen) => this.#orphan(address, gen, 'belongs to a life of it that is over'));
  }

  /**
   * A half-restored copy of a bucket looks like this, so nothing is deleted that any manifest could
   * need (rule `scan-before-deleting-strays`).
   */
  async #withoutSidecar(
    listed: ListedSegment,
    references: SegmentReferences | undefined,
  ): Promise<Diagnosis[]> {
    const { address, generations } = listed;
    const diagnoses = await this.#brokenHolds(listed, undefined, references);
    for (const gen of generations) {
      const held = [...(references?.held ?? [])].filter(([, reference]) => reference.gen === gen);
      if (held.length === 0) {
        if ((references?.announced.size ?? 0) === 0)
          diagnoses.push(this.#orphan(address, gen, 'has no sidecar'));
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
    const heldGenerations = held.map(([, reference]) => reference.gen);
    const isListed = (generation: Generation) => listed.generations.includes(generation);
    const gen = heldGenerations.find(isListed) ?? heldGenerations[0] ?? listed.generations[0];
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

  async #recreate(address: Address, content: SidecarContent): Promise<boolean> {
    const change = (stored: SidecarContent | undefined) =>
      stored === undefined ? content : undefined;
    const sidecar = await this.#protocol.sidecars.change(address, change, { assumeAbsent: true });
    return sidecar?.gen === content.gen;
  }

  #content(gen: Generation, refs: readonly Token[]): SidecarContent {
    return {
      gen,
      state: 'live',
      refs,
      ...(refs.length === 0 && { since: this.#protocol.serverClock.latest() }),
    };
  }
}

function harm(
  kind: 'missing-data' | 'corrupt-data',
  message: string,
  about: {
    readonly address: Address;
    readonly location: string;
    readonly manifests: readonly ManifestKey[];
  },
  repair: string,
): Omit<Finding, 'repaired'> {
  return { kind, message, ...about, repair, harmful: true };
}
