import { type AbortOptions, abortOf, throwIfAborted } from '../../../core/abort.ts';
import type { Address } from '../../../core/address.ts';
import { slicesOf } from '../../../core/batches.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { MANIFEST_KINDS, type ManifestHead } from '../../contract/manifests.ts';
import type { ManifestSurvey, SurveyedSegment } from '../../contract/usage.ts';
import { listObjects, listPages } from '../../storage/listing.ts';
import { manifestsPrefix, parseSegmentKey, SEGMENTS_PREFIX } from '../format/keys.ts';
import { headOfRecord, type ManifestContent } from '../format/manifest-record.ts';
import { type Generation, parseGeneration } from '../format/sidecar.ts';
import type { Protocol } from '../tables/protocol.ts';
import { unlessUnreadable } from '../tables/unreadable.ts';

/** Manifests read per batch. */
const WINDOW = 64;

/** A segment's data in a listing, and the number of manifests that reference it. */
interface KnownSegment {
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
  readonly uses: ReadonlyMap<Address, number>;
  /** Segments that contain its bodies. */
  readonly spilled: ReadonlySet<Address>;
}

/**
 * Surveys what manifests occupy, with a listing of the segments and one GET per manifest; reads no
 * sidecar. The number of referrers of a segment is known only at the end, so the references of all
 * manifests are in memory: about 100 bytes each, and as much per segment.
 */
export async function* surveyObjects(
  protocol: Protocol,
  { signal }: AbortOptions,
): AsyncGenerator<ManifestSurvey, void, undefined> {
  const known = await measureSegments(protocol, signal);
  const kept: KeptManifest[] = [];
  for (const kind of MANIFEST_KINDS) {
    for await (const page of listPages(protocol, manifestsPrefix(kind), abortOf(signal))) {
      for (const window of slicesOf(page, WINDOW)) {
        throwIfAborted(signal);
        await mapAll(window, async ({ key, size }) => {
          const content = await readContent(protocol, key, signal);
          if (content === undefined) return;
          for (const address of content.manifest.references.keys()) {
            const segment = known.get(address);
            if (segment !== undefined) segment.manifests++;
          }
          kept.push(keep(content.head, content.manifest, size));
        });
      }
    }
  }
  for (const manifest of kept) yield surveyOf(manifest, known);
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
  for await (const { key, size } of listObjects(protocol, SEGMENTS_PREFIX, abortOf(signal))) {
    const segment = parseSegmentKey(key);
    if (segment?.generation === undefined) continue;
    known.set(segment.address, { generation: segment.generation, storedBytes: size, manifests: 0 });
  }
  return known;
}

/** An audit reports unreadable manifests. */
async function readContent(
  protocol: Protocol,
  objectKey: string,
  signal: AbortSignal | undefined,
): Promise<{ head: ManifestHead; manifest: ManifestContent } | undefined> {
  const seen = await unlessUnreadable(
    protocol.manifests.readObject(objectKey, undefined, abortOf(signal)),
  );
  const record = seen?.record;
  return (
    record?.current && { head: headOfRecord(record.key, record.current), manifest: record.current }
  );
}

function keep(head: ManifestHead, { entries }: ManifestContent, storedBytes: number): KeptManifest {
  const uses = new Map<Address, number>();
  const spilled = new Set<Address>();
  let bodyBytes = 0;
  for (const { body, segments } of entries) {
    bodyBytes += body.kind === 'inline' ? body.bytes.length : body.length;
    if (body.kind === 'spilled') for (const { address } of body.parts) spilled.add(address);
    for (const address of segments) uses.set(address, (uses.get(address) ?? 0) + 1);
  }
  return { head, bodyBytes, storedBytes, uses, spilled };
}

function surveyOf(
  { head, bodyBytes, storedBytes, uses, spilled }: KeptManifest,
  known: ReadonlyMap<Address, KnownSegment>,
): ManifestSurvey {
  let bodyStoredBytes = storedBytes;
  for (const address of spilled) {
    const segment = uses.has(address) ? undefined : known.get(address);
    if (segment !== undefined)
      bodyStoredBytes += segment.storedBytes / Math.max(1, segment.manifests);
  }
  const segments = [...uses].flatMap(([address, count]): SurveyedSegment[] => {
    const segment = known.get(address);
    if (segment === undefined) return [];
    const references = Math.max(1, segment.manifests);
    return [
      {
        address,
        ...parseGeneration(segment.generation),
        storedBytes: segment.storedBytes,
        references,
        share: 1 / references,
        uses: count,
      },
    ];
  });
  return { head, bodyBytes, bodyStoredBytes, segments };
}
