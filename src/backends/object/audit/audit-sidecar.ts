import type { Address } from '../../../core/address.ts';
import type { VarveError } from '../../../core/errors.ts';
import { segmentKey, sidecarKey } from '../format/keys.ts';
import type { Generation, SidecarContent, Token } from '../format/sidecar.ts';
import type { Protocol } from '../tables/protocol.ts';
import { type Diagnosis, firstOf, referrersOf } from './diagnosis.ts';
import type { SegmentAuditContext, SegmentEvidence, SidecarEvidence } from './segment-evidence.ts';

const REBUILD = 'rebuild the sidecar from the manifests';

/**
 * Finds data without a sidecar. A half-restored copy of a bucket looks like this, so nothing is
 * deleted that any manifest could need (rule `scan-before-deleting-strays`).
 */
export function findDataWithoutSidecar(
  context: SegmentAuditContext,
  { address, generations, references }: SegmentEvidence,
): Diagnosis[] {
  return generations.flatMap((gen) => {
    const held = [...references.committed].filter(([, reference]) => reference.gen === gen);
    if (held.length === 0) {
      const isAnnounced = references.announced.size > 0;
      return isAnnounced ? [] : [orphan(context, address, gen, 'has no sidecar')];
    }
    const finding = {
      kind: 'unindexed',
      message: `segment ${address} has data, but no sidecar`,
      address,
      location: segmentKey(address, gen),
      manifests: firstOf(held.map(([, reference]) => reference)),
      repair: REBUILD,
      harmful: false,
    } as const;
    const tokens = held.map(([token]) => token);
    const mend = () => create(context.protocol, address, newContent(context.protocol, gen, tokens));
    return [{ finding, mend, needsAllManifests: true }];
  });
}

/** Finds data of generations that are over: late writes, and what a dead collector left. */
export function findDeadGenerations(
  context: SegmentAuditContext,
  { address, generations, references, sidecar }: SidecarEvidence,
): Diagnosis[] {
  const held = new Set([...references.committed.values()].map(({ gen }) => gen));
  return generations
    .filter((gen) => (gen !== sidecar.gen || sidecar.state === 'gone') && !held.has(gen))
    .map((gen) => orphan(context, address, gen, 'belongs to a generation that is over'));
}

/** The diagnosis of a sidecar that cannot be read. */
export function unreadableSidecar(
  { protocol, hints }: SegmentAuditContext,
  { address, generations, references }: SegmentEvidence,
  { code, message }: VarveError,
): Diagnosis {
  const held = [...references.committed];
  const heldGenerations = held.map(([, reference]) => reference.gen);
  const isListed = (generation: Generation) => generations.includes(generation);
  const gen = heldGenerations.find(isListed) ?? heldGenerations[0] ?? generations[0];
  // A sidecar that a newer version wrote is not damaged.
  const canRebuild = gen !== undefined && code === 'CORRUPT';
  const rebuild = async (generation: Generation): Promise<boolean> => {
    const refs = [...held.map(([token]) => token), ...references.announced];
    if (refs.length === 0) await hints.write({ segments: [address], manifests: [] });
    return protocol.sidecars.replaceDamaged(address, newContent(protocol, generation, refs));
  };
  return {
    finding: {
      kind: 'unindexed',
      message: `the sidecar of segment ${address} cannot be read: ${message}`,
      address,
      location: sidecarKey(address),
      manifests: referrersOf(references),
      repair: canRebuild ? REBUILD : 'none',
      harmful: false,
    },
    mend: canRebuild ? () => rebuild(gen) : undefined,
    needsAllManifests: true,
  };
}

function orphan(
  { protocol }: SegmentAuditContext,
  address: Address,
  gen: Generation,
  reason: string,
): Diagnosis {
  const location = segmentKey(address, gen);
  return {
    finding: {
      kind: 'orphaned-data',
      message: `data of segment ${address} ${reason}`,
      address,
      location,
      manifests: [],
      repair: 'delete it',
      harmful: false,
    },
    mend: async () => {
      await protocol.store.delete([location]);
      return true;
    },
    needsAllManifests: true,
  };
}

/** Creates the sidecar unless there is one by now. */
async function create(
  { sidecars }: Protocol,
  address: Address,
  content: SidecarContent,
): Promise<boolean> {
  const change = (stored: SidecarContent | undefined) =>
    stored === undefined ? content : undefined;
  const sidecar = await sidecars.change(address, change, { assumeAbsent: true });
  return sidecar?.gen === content.gen;
}

function newContent(
  { serverClock }: Protocol,
  gen: Generation,
  refs: readonly Token[],
): SidecarContent {
  return {
    gen,
    state: 'live',
    refs,
    ...(refs.length === 0 && { since: serverClock.latest() }),
  };
}
