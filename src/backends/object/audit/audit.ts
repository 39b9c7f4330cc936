import { abortOf, throwIfAborted } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { slicesOf } from '../../../core/batches.ts';
import { mapAll } from '../../../core/concurrency.ts';
import type { AuditReport, AuditSettings, Finding } from '../../contract/maintenance.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import { removeProbeRemains } from '../../storage/probe-remains.ts';
import { isStale, reap } from '../commit/reap.ts';
import { manifestObjectKey, manifestOfObjectKey } from '../format/keys.ts';
import { ReferenceScan } from '../listing/reference-scan.ts';
import { type ListedSegment, listSegments } from '../listing/segment-listing.ts';
import { HoldRepair } from '../segments/hold-repair.ts';
import type { SegmentTaker } from '../segments/segment-taker.ts';
import type { Hints } from '../tables/hints.ts';
import type { SeenRecord } from '../tables/manifest-table.ts';
import type { Protocol } from '../tables/protocol.ts';
import { UnhintedGarbage } from './audit-garbage.ts';
import { SegmentAuditor } from './audit-segment.ts';
import { cool, isCooling, isToCool } from './cool.ts';
import { type Diagnosis, MARKED, TO_MARK, WAITING } from './diagnosis.ts';

export interface AuditContext {
  readonly protocol: Protocol;
  readonly taker: SegmentTaker;
  readonly hints: Hints;
}

/** So many segments are looked at together. */
const WINDOW = 64;

/**
 * Verifies an object store against its manifests, which are the truth; see {@link SegmentAuditor}.
 */
export class ObjectAudit {
  readonly #protocol: Protocol;
  readonly #context: AuditContext;
  readonly #options: AuditSettings;
  readonly #garbage: UnhintedGarbage;
  readonly #damagedManifests = new Set<string>();
  readonly #toCool: Address[] = [];
  readonly #tally = { manifests: 0, segments: 0, verifiedBytes: 0, findings: 0, unrepaired: 0 };

  constructor(context: AuditContext, options: AuditSettings) {
    this.#protocol = context.protocol;
    this.#context = context;
    this.#options = options;
    this.#garbage = new UnhintedGarbage(context.protocol, context.hints);
  }

  async *run(): AsyncGenerator<Finding, AuditReport, undefined> {
    const { clock } = this.#protocol;
    const started = clock.monotonic();
    // In one pass, unless there are more references than memory shall hold.
    for (let from: string | undefined = ''; from !== undefined; ) from = yield* this.#pass(from);
    if (this.#options.repair && this.#knowsAllReferences) {
      await cool(this.#protocol, this.#context.hints, this.#toCool, this.#options.signal);
    }
    if (this.#options.repair) await removeProbeRemains(this.#protocol);
    return { ...this.#tally, durationMs: clock.monotonic() - started };
  }

  /** Audits the segments from an address on. Returns where the next pass begins. */
  async *#pass(from: string): AsyncGenerator<Finding, string | undefined, undefined> {
    const scan = new ReferenceScan(this.#protocol, { from });
    yield* this.#manifests(scan, from === '');
    yield* this.#segments(scan, from);
    return scan.until;
  }

  async *#manifests(
    scan: ReferenceScan,
    isFirst: boolean,
  ): AsyncGenerator<Finding, void, undefined> {
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
    this.#options.onProgress?.({
      phase: 'reading manifests',
      done: scan.manifests,
      total: scan.manifests,
    });
    yield* this.#tell(damaged);
    const { taker, hints } = this.#context;
    yield* this.#tell(
      stale.map((seen) =>
        staleWriter(seen, async () => {
          // The hint that was left with what is releasing may be lost.
          await hints.announceReleases(releasesOf(seen));
          return reap(this.#protocol, taker, hints, seen);
        }),
      ),
    );
  }

  async *#segments(scan: ReferenceScan, from: string): AsyncGenerator<Finding, void, undefined> {
    const { sample, signal, onProgress } = this.#options;
    const { taker, hints } = this.#context;
    const auditor = new SegmentAuditor(
      this.#protocol,
      scan,
      hints,
      new HoldRepair(this.#protocol, taker, hints),
    );
    const isSampled = () => this.#protocol.randomness.fraction() < sample;
    for await (const window of segmentWindows(this.#protocol, scan, from, signal)) {
      throwIfAborted(signal);
      const audits = await mapAll(window, (listed) => auditor.audit(listed, isSampled()));
      for (const [at, { sidecar, verifiedBytes, diagnoses }] of audits.entries()) {
        const { address, generations } = window[at] as ListedSegment;
        this.#tally.segments += generations.length;
        this.#tally.verifiedBytes += verifiedBytes;
        if (
          sidecar &&
          (isToCool(sidecar, scan.of(address)?.held.size ?? 0) || isCooling(sidecar))
        ) {
          this.#toCool.push(address);
        }
        yield* this.#tell(this.#knowsAllReferences ? diagnoses : diagnoses.map(waiting));
      }
      const unheld = audits
        .map(({ sidecar }, at) => ({ address: (window[at] as ListedSegment).address, sidecar }))
        .filter(({ address }) => (scan.of(address)?.held.size ?? 0) === 0);
      yield* this.#tell(await this.#garbage.among(unheld, signal));
      onProgress?.({
        phase: 'verifying segments',
        done: this.#tally.segments,
        total: this.#tally.segments,
      });
    }
  }

  /** What a damaged manifest references is not known, so nothing is taken for unreferenced. */
  get #knowsAllReferences(): boolean {
    return this.#damagedManifests.size === 0;
  }

  async *#tell(diagnoses: readonly Diagnosis[]): AsyncGenerator<Finding, void, undefined> {
    for (const { finding, mend } of diagnoses) {
      const mends = this.#options.repair && mend !== undefined;
      const repaired = mends && (await mend());
      this.#tally.findings++;
      if (!repaired) this.#tally.unrepaired++;
      yield {
        ...finding,
        ...(mends && finding.repair === TO_MARK && { repair: MARKED }),
        repaired,
      };
    }
  }
}

/**
 * What is listed below `segments/` within a scan's bounds, by segment, and referenced segments that
 * are not listed at all.
 */
async function* segmentWindows(
  protocol: Protocol,
  scan: ReferenceScan,
  from: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListedSegment[], void, undefined> {
  const unlisted = new Set(scan.referenced());
  for await (const window of listSegments(protocol, WINDOW, {
    from,
    until: scan.until,
    ...abortOf(signal),
  })) {
    for (const { address } of window) unlisted.delete(address);
    yield window;
  }
  const lost = [...unlisted].map(
    (address): ListedSegment => ({ address, hasSidecar: false, generations: [] }),
  );
  yield* slicesOf(lost, WINDOW);
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
      location: manifestObjectKey(key),
      manifests: [],
      repair: 'fence its attempt, and let go of what it took',
      harmful: false,
    },
    mend,
  };
}

/**
 * What a manifest that cannot be read references is not known, so nothing is taken for
 * unreferenced.
 */
function waiting(diagnosis: Diagnosis): Diagnosis {
  if (!diagnosis.needsAllManifests) return diagnosis;
  return { finding: { ...diagnosis.finding, repair: WAITING }, mend: undefined };
}

function releasesOf({ record }: SeenRecord): Parameters<Hints['announceReleases']>[0] {
  return record === undefined
    ? []
    : [{ objectKey: manifestObjectKey(record.key), releases: record.releasing }];
}
