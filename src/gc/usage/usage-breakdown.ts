import type { Backend } from '../../backends/contract/backend.ts';
import type { ManifestSurvey, Usage } from '../../backends/contract/usage.ts';
import type { AbortOptions } from '../../core/abort.ts';
import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';
import { type SharedSegment, TopSegments } from './top-segments.ts';

/** How usage is broken down. */
export interface UsageBreakdownOptions extends AbortOptions {
  /**
   * What to compare: the applications, the models, or the months (UTC) of creation. Default:
   * nothing, one part for all.
   */
  readonly by?: 'application' | 'model' | 'month' | undefined;
  /** Number of segments to list, those whose sharing saves most. Default: 0. */
  readonly top?: number | undefined;
}

const USAGE_BREAKDOWN_OPTIONS = declareOptions<UsageBreakdownOptions>()({
  defaults: { top: 0 },
  members: (is: OptionKinds) => ({
    by: is.oneOf('application', 'model', 'month'),
    top: is.whole(0),
    signal: is.signal,
  }),
});

/**
 * What some manifests take. `contentBytes - deduplicatedBytes - compressedBytes = storedBytes`, in
 * every part and in the total, and each figure of the total is the sum of that of the parts. A
 * segment that several manifests share is split evenly among its references.
 */
export interface UsagePart {
  /** The application, the model, or the month as `2026-01`; `null` for manifests without. */
  readonly key: string | null;
  /** Conversations, blobs and pins. */
  readonly manifests: number;
  /** Their size as it was given. */
  readonly logicalBytes: number;
  /**
   * What their segments, each as often as it is used, and their own bodies have before
   * deduplication and compression.
   */
  readonly contentBytes: number;
  /** Of that, what storing each segment once saves. */
  readonly deduplicatedBytes: number;
  /** Of the rest, what compression (and the coding of token ids) saves; negative where it adds. */
  readonly compressedBytes: number;
  /** What remains: these manifests' share of the medium. */
  readonly storedBytes: number;
}

/** What applications, models or months take, and what sharing saves. */
export interface UsageBreakdown {
  /** Largest first. */
  readonly parts: readonly UsagePart[];
  readonly total: UsagePart;
  /**
   * What the store takes beside that, so that with `total.storedBytes` it makes
   * `usage.storedBytes`: the index, segments that wait for collection, space that nothing uses any
   * more. What others write meanwhile ends up here as well.
   */
  readonly otherBytes: number;
  /** The whole, as `usage` returns it. */
  readonly usage: Usage;
  readonly topSegments: readonly SharedSegment[];
}

interface Sums {
  manifests: number;
  logicalBytes: number;
  contentBytes: number;
  /** Fractions of shared segments and blocks, rounded in the end. */
  uniqueBytes: number;
  storedBytes: number;
}

/**
 * Walks all manifests and sums up what they occupy. Memory: a few numbers a part and a top segment,
 * and what the backend's survey needs.
 *
 * @throws `INVALID_ARGUMENT` for invalid options.
 */
export async function breakDownUsage(
  backend: Backend,
  options?: UsageBreakdownOptions,
): Promise<UsageBreakdown> {
  const { by, top, ...abort } = USAGE_BREAKDOWN_OPTIONS.read('usageBreakdown', options);
  const parts = new Map<string | null, Sums>();
  const shared = new TopSegments(top);
  for await (const survey of backend.survey(abort)) {
    const key = keyOf(survey, by);
    let sums = parts.get(key);
    if (sums === undefined) {
      sums = { manifests: 0, logicalBytes: 0, contentBytes: 0, uniqueBytes: 0, storedBytes: 0 };
      parts.set(key, sums);
    }
    add(sums, survey);
    for (const segment of survey.segments) shared.offer(segment, survey.head.key);
  }
  const usage = await backend.usage(abort);
  const rounded = roundParts(parts);
  const total = sumOf(rounded);
  return {
    parts: rounded,
    total,
    otherBytes: usage.storedBytes - total.storedBytes,
    usage,
    topSegments: shared.list(),
  };
}

function keyOf({ head }: ManifestSurvey, by: UsageBreakdownOptions['by']): string | null {
  if (by === undefined) return null;
  if (by !== 'month') return head[by] ?? null;
  const date = new Date(head.createdAt);
  return Number.isNaN(date.valueOf())
    ? null
    : date.toISOString().slice(0, -'-31T00:00:00.000Z'.length);
}

function add(sums: Sums, { head, bodyBytes, bodyStoredBytes, segments }: ManifestSurvey): void {
  sums.manifests++;
  sums.logicalBytes += head.logicalBytes;
  sums.contentBytes += bodyBytes;
  sums.uniqueBytes += bodyBytes;
  sums.storedBytes += bodyStoredBytes;
  for (const { length, storedBytes, share, uses } of segments) {
    sums.contentBytes += length * uses;
    sums.uniqueBytes += length * share;
    sums.storedBytes += storedBytes * share;
  }
}

/**
 * Whole numbers whose sums are the rounded sums: what each part rounds off is carried to the next.
 */
function roundParts(parts: ReadonlyMap<string | null, Sums>): UsagePart[] {
  const sorted = [...parts].sort(([, a], [, b]) => b.storedBytes - a.storedBytes);
  const unique = carrying();
  const stored = carrying();
  return sorted.map(
    ([key, { manifests, logicalBytes, contentBytes, uniqueBytes, storedBytes }]) => {
      const once = unique(uniqueBytes);
      const taken = stored(storedBytes);
      return {
        key,
        manifests,
        logicalBytes,
        contentBytes,
        deduplicatedBytes: contentBytes - once,
        compressedBytes: once - taken,
        storedBytes: taken,
      };
    },
  );
}

function carrying(): (value: number) => number {
  let exact = 0;
  let passed = 0;
  return (value) => {
    exact += value;
    const rounded = Math.round(exact) - passed;
    passed += rounded;
    return rounded;
  };
}

function sumOf(parts: readonly UsagePart[]): UsagePart {
  const of = (field: Exclude<keyof UsagePart, 'key'>) =>
    parts.reduce((sum, part) => sum + part[field], 0);
  return {
    key: null,
    manifests: of('manifests'),
    logicalBytes: of('logicalBytes'),
    contentBytes: of('contentBytes'),
    deduplicatedBytes: of('deduplicatedBytes'),
    compressedBytes: of('compressedBytes'),
    storedBytes: of('storedBytes'),
  };
}
