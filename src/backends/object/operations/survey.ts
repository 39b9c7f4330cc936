import { type AbortOptions, abortOf } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import type { ManifestHead } from '../../contract/manifests.ts';
import type { ManifestSurvey, SurveyedSegment } from '../../contract/usage.ts';
import { parseSegmentKey } from '../format/keys.ts';
import { headOfRecord, type ManifestContent, pagesOf } from '../format/manifest-record.ts';
import { withoutPages } from '../format/page.ts';
import { type Generation, parseGeneration } from '../format/sidecar.ts';
import { walkManifests } from '../listing/manifest-walk.ts';
import { listSegmentObjects } from '../listing/segment-listing.ts';
import type { Protocol } from '../tables/protocol.ts';

/** A segment's data in a listing, and the number of manifests that reference it. */
interface KnownSegment {
  readonly address: Address;
  readonly generation: Generation;
  readonly storedBytes: number;
  manifests: number;
}

/** Data of a manifest, kept until all referrers of its segments are known. */
interface KeptManifest {
  readonly head: ManifestHead;
  readonly bodyBytes: number;
  /** Size of its object. */
  readonly storedBytes: number;
  /** Segments that its entries name. */
  readonly used: readonly KnownSegment[];
  /** How often each of them is named. */
  readonly uses: readonly number[];
  /** Segments that contain its bodies, and nothing else of it. */
  readonly spilled: readonly KnownSegment[];
}

/**
 * Surveys what manifests occupy, with a listing of the segments and one GET per manifest; reads no
 * sidecar. The number of referrers of a segment is known only at the end, so the references of all
 * manifests are in memory: about 20 bytes each, and 300 per manifest and per segment.
 */
export async function* surveyObjects(
  protocol: Protocol,
  { signal }: AbortOptions,
): AsyncGenerator<ManifestSurvey, void, undefined> {
  const known = await measureSegments(protocol, signal);
  const kept: KeptManifest[] = [];
  for await (const { object, references } of walkManifests(protocol, signal)) {
    const { key, current } = references.seen.record ?? {};
    // An audit reports unreadable manifests.
    if (key === undefined || current === undefined) continue;
    for (const address of new Set(references.committed.map((each) => each.address))) {
      const segment = known.get(address);
      if (segment !== undefined) segment.manifests++;
    }
    const whole = withoutPages(current, references.pages);
    kept.push(keep(headOfRecord(key, current), whole, pagesOf(current), object.size, known));
  }
  for (const manifest of kept) yield surveyOf(manifest);
}

/**
 * The data objects; of a segment with several generations at the moment, the last one listed
 * counts.
 */
async function measureSegments(
  protocol: Protocol,
  signal: AbortSignal | undefined,
): Promise<Map<Address, KnownSegment>> {
  const known = new Map<Address, KnownSegment>();
  for await (const { key, size } of listSegmentObjects(protocol, abortOf(signal))) {
    const segment = parseSegmentKey(key);
    if (segment?.generation === undefined) continue;
    const { address, generation } = segment;
    known.set(address, { address, generation, storedBytes: size, manifests: 0 });
  }
  return known;
}

function keep(
  head: ManifestHead,
  { entries }: ManifestContent,
  pages: readonly Address[],
  storedBytes: number,
  known: ReadonlyMap<Address, KnownSegment>,
): KeptManifest {
  const uses = new Map<KnownSegment, number>();
  const spilled = new Set(pages.flatMap((address) => known.get(address) ?? []));
  let bodyBytes = 0;
  for (const { body, segments } of entries) {
    bodyBytes += body.kind === 'inline' ? body.bytes.length : body.length;
    for (const address of segments) {
      const segment = known.get(address);
      if (segment !== undefined) uses.set(segment, (uses.get(segment) ?? 0) + 1);
    }
    for (const { address } of body.kind === 'spilled' ? body.parts : []) {
      const segment = known.get(address);
      if (segment !== undefined) spilled.add(segment);
    }
  }
  return {
    head,
    bodyBytes,
    storedBytes,
    used: [...uses.keys()],
    uses: [...uses.values()],
    spilled: [...spilled].filter((segment) => !uses.has(segment)),
  };
}

function surveyOf({
  head,
  bodyBytes,
  storedBytes,
  used,
  uses,
  spilled,
}: KeptManifest): ManifestSurvey {
  let bodyStoredBytes = storedBytes;
  for (const segment of spilled)
    bodyStoredBytes += segment.storedBytes / Math.max(1, segment.manifests);
  const segments = used.map((segment, at): SurveyedSegment => {
    const references = Math.max(1, segment.manifests);
    return {
      address: segment.address,
      ...parseGeneration(segment.generation),
      storedBytes: segment.storedBytes,
      references,
      share: 1 / references,
      uses: uses[at] as number,
    };
  });
  return { head, bodyBytes, bodyStoredBytes, segments };
}
