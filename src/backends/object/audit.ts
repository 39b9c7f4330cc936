import type { Address } from '../../address.ts';
import { throwIfAborted } from '../../errors.ts';
import type { AuditOptions, AuditReport, Finding, ManifestKey } from '../backend.ts';
import { type Diagnosis, type ListedSegment, SegmentAuditor } from './audit-segment.ts';
import { cool, isCooling, isToCool } from './cool.ts';
import type { Hints } from './hints.ts';
import { manifestOfObjectKey, parseSegmentKey, SEGMENTS_PREFIX } from './keys.ts';
import { listObjects } from './listing.ts';
import type { SeenRecord } from './manifest-table.ts';
import { abortOf, forEach, type Protocol } from './protocol.ts';
import { isStale, reap } from './reap.ts';
import { ReferenceScan } from './reference-scan.ts';
import type { SegmentTaker } from './segment-taker.ts';
import type { Generation } from './sidecar.ts';

export interface AuditContext {
  readonly protocol: Protocol;
  readonly taker: SegmentTaker;
  readonly hints: Hints;
}

/** So many segments are looked at together. */
const WINDOW = 64;

/** Verifies an object store against its manifests, which are the truth; see {@link SegmentAuditor}. */
export async function* auditObjects(
  { protocol, taker, hints }: AuditContext,
  options: AuditOptions,
): AsyncGenerator<Finding, AuditReport, undefined> {
  const { repair = false, sample = 1, signal, onProgress } = options;
  const started = protocol.clock.monotonic();
  const tally = { segments: 0, verifiedBytes: 0, findings: 0, unrepaired: 0 };
  async function* tell(diagnoses: readonly Diagnosis[]): AsyncGenerator<Finding, void, undefined> {
    for (const { finding, mend } of diagnoses) {
      const repaired = repair && mend !== undefined && (await mend());
      tally.findings++;
      if (!repaired) tally.unrepaired++;
      yield { ...finding, repaired };
    }
  }

  const scan = new ReferenceScan(protocol);
  const diagnoses: Diagnosis[] = [];
  const stale: SeenRecord[] = [];
  await scan.run(
    (seen) => {
      if (isStale(protocol, seen)) stale.push(seen);
    },
    (objectKey, error) => diagnoses.push(damagedManifest(objectKey, error)),
    signal,
  );
  onProgress?.({ phase: 'reading manifests', done: scan.manifests, total: scan.manifests });
  const isScanComplete = diagnoses.length === 0;
  yield* tell(diagnoses);
  yield* tell(stale.map((seen) => staleWriter(seen, () => reap(protocol, taker, hints, seen))));

  const auditor = new SegmentAuditor(protocol, scan, hints);
  const toCool: Address[] = [];
  for await (const page of segmentWindows(protocol, scan, signal)) {
    throwIfAborted(signal);
    const audits = await forEach(page, (listed) => auditor.audit(listed, protocol.randomness.fraction() < sample));
    for (const [at, audit] of audits.entries()) {
      const { address, generations } = page[at] as ListedSegment;
      tally.segments += generations.length;
      tally.verifiedBytes += audit.verifiedBytes;
      const { sidecar } = audit;
      if (sidecar && (isToCool(sidecar, scan.of(address)?.held.size ?? 0) || isCooling(sidecar))) toCool.push(address);
      // What a damaged manifest references is not known, so nothing is taken for unreferenced.
      yield* tell(isScanComplete ? audit.diagnoses : audit.diagnoses.map(withoutMendingLosses));
    }
    onProgress?.({ phase: 'verifying segments', done: tally.segments, total: tally.segments });
  }
  if (repair && isScanComplete) await cool(protocol, hints, toCool, signal);
  return { manifests: scan.manifests, ...tally, durationMs: protocol.clock.monotonic() - started };
}

/** What is listed below `segments/`, by segment, and referenced segments that are not listed at all. */
async function* segmentWindows(
  protocol: Protocol,
  scan: ReferenceScan,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListedSegment[], void, undefined> {
  const unlisted = new Set(scan.referenced());
  let window: ListedSegment[] = [];
  let last: { address: Address; hasSidecar: boolean; generations: Generation[] } | undefined;
  for await (const { key } of listObjects(protocol, SEGMENTS_PREFIX, abortOf(signal))) {
    const parsed = parseSegmentKey(key);
    if (parsed === undefined) continue;
    if (parsed.address !== last?.address) {
      if (last !== undefined) window.push(last);
      last = { address: parsed.address, hasSidecar: false, generations: [] };
      unlisted.delete(parsed.address);
      if (window.length === WINDOW) {
        yield window;
        window = [];
      }
    }
    if (parsed.generation === undefined) last.hasSidecar = true;
    else last.generations.push(parsed.generation);
  }
  if (last !== undefined) window.push(last);
  if (window.length > 0) yield window;
  const lost = [...unlisted].map((address): ListedSegment => ({ address, hasSidecar: false, generations: [] }));
  for (let start = 0; start < lost.length; start += WINDOW) yield lost.slice(start, start + WINDOW);
}

function damagedManifest(objectKey: string, error: Error): Diagnosis {
  const key: ManifestKey | undefined = manifestOfObjectKey(objectKey);
  return {
    finding: {
      kind: 'corrupt-manifest',
      message: `a manifest cannot be read: ${error.message}`,
      location: objectKey,
      manifests: key === undefined ? [] : [key],
      repair: 'none',
      harmful: true,
    },
    mend: undefined,
  };
}

function staleWriter({ record }: SeenRecord, mend: () => Promise<boolean>): Diagnosis {
  const key = record?.key as ManifestKey;
  return {
    finding: {
      kind: 'stale-writer',
      message: `a writer of ${key.kind} ${JSON.stringify(key.id)} ended before its work did`,
      manifests: [],
      repair: 'its attempt is fenced, and what it took is released',
      harmful: false,
    },
    mend,
  };
}

/** Counting more is safe whatever a damaged manifest holds; taking away is not. */
function withoutMendingLosses(diagnosis: Diagnosis): Diagnosis {
  const { kind, repair } = diagnosis.finding;
  const takesAway = kind === 'orphaned-data' || (kind === 'wrong-count' && repair.includes('no longer'));
  return takesAway
    ? { finding: { ...diagnosis.finding, repair: 'none, until every manifest can be read' }, mend: undefined }
    : diagnosis;
}
