import type { Address } from '../../../core/address.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { RECOUNT } from '../../contract/findings.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import { sidecarKey } from '../format/keys.ts';
import type { Token } from '../format/sidecar.ts';
import type { Protocol } from '../tables/protocol.ts';
import { drop, isUsable } from '../tables/sidecar-changes.ts';
import { type Diagnosis, firstOf } from './diagnosis.ts';
import type { SegmentAuditContext, SidecarEvidence } from './segment-evidence.ts';

/** Compares the references that a sidecar counts with those that the manifests have. */
export async function findWrongCounts(
  context: SegmentAuditContext,
  evidence: SidecarEvidence,
): Promise<Diagnosis[]> {
  // A hot sidecar does not name all its references.
  if (evidence.sidecar.hot) return [];
  return [
    ...(await tooFew(context, evidence)),
    ...(await tooMany(context, evidence)),
    ...misnumbered(context, evidence),
  ];
}

async function tooFew(
  { protocol, scan, repair }: SegmentAuditContext,
  { address, sidecar, references }: SidecarEvidence,
): Promise<Diagnosis[]> {
  // A sidecar that has given its generation up counts nothing any more: its references are moved.
  if (!isUsable(sidecar)) return [];
  const known = new Set(sidecar.refs);
  const suspects = [...references.committed].filter(
    ([token, { gen }]) => gen === sidecar.gen && !known.has(token),
  );
  const confirmed = await mapAll(suspects, async ([token, reference]) =>
    (await scan.isCommitted(address, token, reference)) &&
    !(await isCounted(protocol, address, token))
      ? [{ token, key: reference.key }]
      : [],
  );
  const uncounted = confirmed.flat();
  if (uncounted.length === 0) return [];
  const message =
    `segment ${address} counts ${counted(uncounted.length)} too few: it could be collected ` +
    'although it is in use';
  const manifests = firstOf(uncounted);
  const tokens = uncounted.map(({ token }) => token);
  return [
    {
      finding: wrongCount(address, message, RECOUNT, manifests),
      mend: () => repair.count(address, tokens),
    },
  ];
}

async function tooMany(
  context: SegmentAuditContext,
  { address, references, sidecar }: SidecarEvidence,
): Promise<Diagnosis[]> {
  const leaked = await context.scan.leaked(references, sidecar.refs);
  if (leaked.length === 0) return [];
  const message =
    `segment ${address} counts ${counted(leaked.length)} that no manifest has: it could ` +
    'never be collected';
  return [
    {
      finding: wrongCount(address, message, RECOUNT),
      mend: () => dropLeaked(context, address, leaked),
      needsAllManifests: true,
    },
  ];
}

function misnumbered(
  { protocol }: SegmentAuditContext,
  { address, sidecar }: SidecarEvidence,
): Diagnosis[] {
  const { refCount, refs } = sidecar;
  if (refCount === refs.length) return [];
  const message =
    `the sidecar of segment ${address} names ${counted(refs.length)}, but its number of ` +
    `references is ${refCount}`;
  return [
    {
      finding: wrongCount(address, message, 'correct the number'),
      mend: () => rewriteSidecar(protocol, address),
    },
  ];
}

async function isCounted({ sidecars }: Protocol, address: Address, token: Token): Promise<boolean> {
  const sidecar = await sidecars.read(address);
  return sidecar?.hot === true || (sidecar?.refs.includes(token) ?? false);
}

async function dropLeaked(
  { protocol, hints }: SegmentAuditContext,
  address: Address,
  tokens: readonly Token[],
): Promise<boolean> {
  // Wherever references are dropped, what may be garbage is hinted at first (rule
  // `hint-before-change`).
  await hints.write({ segments: [address], manifests: [] });
  const since = () => protocol.serverClock.latest();
  await protocol.sidecars.change(address, drop(new Set(tokens), since));
  return true;
}

/** Stores the sidecar once as it is: that writes the right number. */
async function rewriteSidecar({ sidecars }: Protocol, address: Address): Promise<boolean> {
  let isDone = false;
  await sidecars.change(address, (sidecar) => {
    if (isDone || sidecar === undefined) return undefined;
    isDone = true;
    return sidecar;
  });
  return true;
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
