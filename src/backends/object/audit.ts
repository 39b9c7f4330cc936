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
export class ObjectAudit {
  readonly #protocol: Protocol;
  readonly #context: AuditContext;
  readonly #options: AuditOptions;
  readonly #damagedManifests = new Set<string>();
  readonly #toCool: Address[] = [];
  readonly #tally = { manifests: 0, segments: 0, verifiedBytes: 0, findings: 0, unrepaired: 0 };

  constructor(context: AuditContext, options: AuditOptions) {
    this.#protocol = context.protocol;
    this.#context = context;
    this.#options = options;
  }

  async *run(): AsyncGenerator<Finding, AuditReport, undefined> {
    const { clock } = this.#protocol;
    const started = clock.monotonic();
    // In one pass, unless there are more references than memory shall hold.
    for (let from: string | undefined = ''; from !== undefined; ) from = yield* this.#pass(from);
    if (this.#options.repair && this.#knowsAllReferences) {
      await cool(this.#protocol, this.#context.hints, this.#toCool, this.#options.signal);
    }
    return { ...this.#tally, durationMs: clock.monotonic() - started };
  }

  /** Audits the segments from an address on. Returns where the next pass begins. */
  async *#pass(from: string): AsyncGenerator<Finding, string | undefined, undefined> {
    const scan = new ReferenceScan(this.#protocol, { from });
    yield* this.#manifests(scan, from === '');
    yield* this.#segments(scan, from);
    return scan.until;
  }

  async *#manifests(scan: ReferenceScan, isFirst: boolean): AsyncGenerator<Finding, void, undefined> {
    const damaged: Diagnosis[] = [];
    const stale: SeenRecord[] = [];
    await scan.run(
      (seen) => {
        if (isFirst && isStale(this.#protocol, seen)) stale.push(seen);
      },
      (objectKey, error) => {
        if (!this.#damagedManifests.has(objectKey)) damaged.push(damagedManifest(objectKey, error));
        this.#damagedManifests.add(objectKey);
      },
      this.#options.signal,
    );
    if (isFirst) this.#tally.manifests = scan.manifests;
    this.#options.onProgress?.({ phase: 'reading manifests', done: scan.manifests, total: scan.manifests });
    yield* this.#tell(damaged);
    const { taker, hints } = this.#context;
    yield* this.#tell(stale.map((seen) => staleWriter(seen, () => reap(this.#protocol, taker, hints, seen))));
  }

  async *#segments(scan: ReferenceScan, from: string): AsyncGenerator<Finding, void, undefined> {
    const { sample = 1, signal, onProgress } = this.#options;
    const auditor = new SegmentAuditor(this.#protocol, scan, this.#context.hints);
    const isSampled = () => this.#protocol.randomness.fraction() < sample;
    for await (const window of segmentWindows(this.#protocol, scan, from, signal)) {
      throwIfAborted(signal);
      const audits = await forEach(window, (listed) => auditor.audit(listed, isSampled()));
      for (const [at, { sidecar, verifiedBytes, diagnoses }] of audits.entries()) {
        const { address, generations } = window[at] as ListedSegment;
        this.#tally.segments += generations.length;
        this.#tally.verifiedBytes += verifiedBytes;
        if (sidecar && (isToCool(sidecar, scan.of(address)?.held.size ?? 0) || isCooling(sidecar))) {
          this.#toCool.push(address);
        }
        yield* this.#tell(this.#knowsAllReferences ? diagnoses : diagnoses.map(withoutMendingLosses));
      }
      onProgress?.({ phase: 'verifying segments', done: this.#tally.segments, total: this.#tally.segments });
    }
  }

  /** What a damaged manifest references is not known, so nothing is taken for unreferenced. */
  get #knowsAllReferences(): boolean {
    return this.#damagedManifests.size === 0;
  }

  async *#tell(diagnoses: readonly Diagnosis[]): AsyncGenerator<Finding, void, undefined> {
    for (const { finding, mend } of diagnoses) {
      const repaired = this.#options.repair === true && mend !== undefined && (await mend());
      this.#tally.findings++;
      if (!repaired) this.#tally.unrepaired++;
      yield { ...finding, repaired };
    }
  }
}

/** What is listed below `segments/` within a scan's bounds, by segment, and referenced segments that are not listed at all. */
async function* segmentWindows(
  protocol: Protocol,
  scan: ReferenceScan,
  from: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListedSegment[], void, undefined> {
  const unlisted = new Set(scan.referenced());
  let window: ListedSegment[] = [];
  let last: { address: Address; hasSidecar: boolean; generations: Generation[] } | undefined;
  for await (const { key } of listObjects(protocol, SEGMENTS_PREFIX, {
    ...abortOf(signal),
    after: `${SEGMENTS_PREFIX}${from}`,
  })) {
    const parsed = parseSegmentKey(key);
    if (parsed === undefined) continue;
    if (scan.until !== undefined && parsed.address >= scan.until) break;
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
