/** What is stored, and what it occupies. */

import type { ManifestHead, ManifestKind, SegmentDescription } from './manifests.ts';

/** What is stored, and what it occupies on its medium. */
export interface Usage {
  /** By kind; `logicalBytes` is the size of the content as given. */
  readonly manifests: Readonly<
    Record<ManifestKind, { readonly count: number; readonly logicalBytes: number }>
  >;
  /**
   * Distinct segments stored, and their bytes before compression (token ids as the backend codes
   * them).
   */
  readonly segments: number;
  readonly segmentBytes: number;
  /** Everything the store occupies on its medium. */
  readonly storedBytes: number;
  /** Of that, bytes of indexes rather than content. */
  readonly indexBytes: number;
  /** Segments and bytes that wait for collection. */
  readonly garbageSegments: number;
  readonly garbageBytes: number;
}

/** A usage, and when it was counted. */
export interface CountedUsage {
  /** Milliseconds since the epoch. */
  readonly countedAt: number;
  readonly usage: Usage;
}

/** A segment as one manifest uses it. */
export interface SurveyedSegment extends SegmentDescription {
  /**
   * Bytes it occupies on the medium: its share, possibly a fraction, of what is compressed
   * together.
   */
  readonly storedBytes: number;
  /**
   * The part of the segment attributed to this manifest; the shares of all manifests add up to 1.
   */
  readonly share: number;
  /** How often the manifest's entries name it. */
  readonly uses: number;
}

/** What a manifest references and occupies. */
export interface ManifestSurvey {
  readonly head: ManifestHead;
  /** Size of its entries' bodies, and their bytes on the medium: possibly a fraction, as above. */
  readonly bodyBytes: number;
  readonly bodyStoredBytes: number;
  /** Each segment once. */
  readonly segments: readonly SurveyedSegment[];
}
