/**
 * What keeps a store sound and small: collection, audit, backup, usage, and the reports of their
 * runs.
 */

import type { AbortOptions } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import { VarveError } from '../../core/errors.ts';
import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';
import type { ManifestHead, ManifestKey, ManifestKind, SegmentDescription } from './manifests.ts';

/** Options of all collections. */
export interface CollectWorkOptions extends AbortOptions {
  /** Free all space that can be freed, at the cost of more rewriting. Default: false. */
  readonly full?: boolean | undefined;
  /**
   * Do only this share of the work. Shards of one `count` are disjoint and together do all of it,
   * in any order and at once, in one process or many. Default: all.
   */
  readonly shard?: CollectShard | undefined;
  /**
   * Concurrent requests, where steps are requests; no effect where they are transactions. Default:
   * 8.
   */
  readonly concurrency?: number | undefined;
  readonly onProgress?: ProgressCallback | undefined;
}

/**
 * Called repeatedly; `total` may grow, and is 0 while unknown. For a store, the argument is the
 * whole event.
 */
export type ProgressCallback = (progress: { phase: string; done: number; total: number }) => void;

/** The kinds of {@link CollectWorkOptions}. */
export function collectWorkKinds(is: OptionKinds) {
  return {
    full: is.flag,
    shard: is
      .record({ index: is.whole(0), count: is.whole(1) })
      .refine(({ index, count }) => index < count, {
        path: ['index'],
        error: 'less than shard.count',
      }),
    concurrency: is.whole(1),
    onProgress: is.callback<ProgressCallback>(),
    signal: is.signal,
  };
}

/** What a collection may be given. */
export interface CollectOptions extends CollectWorkOptions {
  /**
   * A segment is collected once nothing has referenced it for this many milliseconds. Default: 24
   * hours.
   */
  readonly graceMs?: number | undefined;
  /** Report what would be done, change nothing. Default: false. */
  readonly dryRun?: boolean | undefined;
  /**
   * End only when no byte of deleted content is left on the medium, neither in data nor in indexes,
   * logs and caches. Collects everything that nothing references, whatever `graceMs` says; cannot
   * be combined with `shard`. The report lists what it could not remove. Default: false.
   */
  readonly erase?: boolean | undefined;
  /**
   * Start no further step after this many milliseconds; the report then says `isComplete: false`.
   * Default: no limit.
   */
  readonly deadlineMs?: number | undefined;
}

const COLLECT_OPTIONS = declareOptions<CollectOptions>()({
  defaults: {
    graceMs: 24 * 60 * 60 * 1000,
    deadlineMs: Number.POSITIVE_INFINITY,
    concurrency: 8,
    dryRun: false,
    full: false,
    erase: false,
  },
  members: (is: OptionKinds) => ({
    ...collectWorkKinds(is),
    graceMs: is.number(0),
    deadlineMs: is.number(0),
    dryRun: is.flag,
    erase: is.flag,
  }),
});

/** Options of a collection with their defaults. */
export type CollectSettings = ReturnType<typeof COLLECT_OPTIONS.read>;

/** @throws `INVALID_ARGUMENT`, saying which option is invalid and what is allowed. */
export function readCollectOptions(options: CollectOptions | undefined): CollectSettings {
  const settings = COLLECT_OPTIONS.read('collect', options);
  if (!settings.erase || settings.shard === undefined) return settings;
  throw new VarveError('INVALID_ARGUMENT', 'an erasure concerns the whole store: leave out shard');
}

/** Part `index`, from 0, of `count`. */
export interface CollectShard {
  readonly index: number;
  readonly count: number;
}

/**
 * Why something is collected: a manifest has expired (`expired`), a stream was interrupted
 * (`abandoned-upload`), nothing has referenced a segment for the grace period (`unreferenced`), a
 * file contains too little live data (`dead-space`) or too many blocks that compress badly
 * (`small-blocks`).
 */
export type CollectReason =
  | 'expired'
  | 'abandoned-upload'
  | 'unreferenced'
  | 'dead-space'
  | 'small-blocks';

/**
 * `count` manifests, uploads, segments or files; `bytes` before compression, for files their dead
 * stored bytes.
 */
export interface CollectShare {
  readonly count: number;
  readonly bytes: number;
}

/** What a collection did, or in a dry run would do. */
export interface CollectReport {
  readonly dryRun: boolean;
  /** `false` when the deadline came first: the next run continues from there. */
  readonly isComplete: boolean;
  /**
   * What was done, or in a dry run would be done, by reason; reasons that did not occur are absent.
   */
  readonly reasons: Readonly<Partial<Record<CollectReason, CollectShare>>>;
  readonly expiredManifests: number;
  /** Segments that nothing has referenced for the grace period. */
  readonly collectedSegments: number;
  /** Their size before compression. */
  readonly collectedBytes: number;
  /** Unreferenced, but still within the grace period. */
  readonly waitingSegments: number;
  readonly waitingBytes: number;
  /** Stored bytes that this run freed on the medium; in a dry run, an estimate. */
  readonly freedBytes: number;
  /** Dead stored bytes that stay until rewriting their surroundings pays. */
  readonly deadBytes: number;
  readonly rewrittenPacks: number;
  /** After an erasure: where bytes of deleted content may be left. Empty when all are gone. */
  readonly remnants?: readonly Remnant[];
  readonly durationMs: number;
}

/** A place from which an erasure could not remove deleted content. */
export interface Remnant {
  /** The segment that is left, where known. */
  readonly address?: Address;
  /** The file or object. */
  readonly location: string;
  /** One sentence: why, and what to do about it. */
  readonly reason: string;
}

/** What kind of fault an audit found. */
export type FindingKind =
  | 'missing-data'
  | 'corrupt-data'
  | 'corrupt-manifest'
  | 'wrong-count'
  | 'unindexed'
  | 'orphaned-data'
  | 'stale-writer';

/** Something wrong that an audit found. */
export interface Finding {
  readonly kind: FindingKind;
  /** One sentence for a person. */
  readonly message: string;
  readonly address?: Address;
  /** The file, object or row concerned. */
  readonly location?: string;
  /** Manifests that cannot be read because of it (the first 100). */
  readonly manifests: readonly ManifestKey[];
  /**
   * What a repair does about it; `none` when only a copy from elsewhere helps, `none…: ` and the
   * reason when nothing more can be done now.
   */
  readonly repair: string;
  readonly repaired: boolean;
  /** Whether content of a manifest is lost or altered: `false` for bookkeeping and garbage. */
  readonly harmful: boolean;
}

/** What an audit may be given. */
export interface AuditOptions extends AbortOptions {
  /** Repair what can be repaired. Default: false. */
  readonly repair?: boolean | undefined;
  /**
   * The share of stored data to read and re-hash, 0 to 1. Default: 1. References are always
   * recounted in full.
   */
  readonly sample?: number | undefined;
  readonly onProgress?: ProgressCallback | undefined;
}

/** The kinds of {@link AuditOptions}. */
export function auditKinds(is: OptionKinds) {
  return {
    repair: is.flag,
    sample: is.number(0, 1),
    onProgress: is.callback<ProgressCallback>(),
    signal: is.signal,
  };
}

export const AUDIT_OPTIONS = declareOptions<AuditOptions>()({
  defaults: { repair: false, sample: 1 },
  members: auditKinds,
});

/** Options of an audit with their defaults. */
export type AuditSettings = ReturnType<typeof AUDIT_OPTIONS.read>;

/** The totals of an audit. */
export interface AuditReport {
  readonly manifests: number;
  readonly segments: number;
  readonly verifiedBytes: number;
  readonly findings: number;
  readonly unrepaired: number;
  readonly durationMs: number;
}

/** What a backup and a restoration may be given. */
export interface BackupOptions extends AbortOptions {
  readonly onProgress?: ProgressCallback | undefined;
}

export const BACKUP_OPTIONS = declareOptions<BackupOptions>()({
  members: (is: OptionKinds) => ({
    onProgress: is.callback<ProgressCallback>(),
    signal: is.signal,
  }),
});

/** What a backup copied. */
export interface BackupReport {
  /** The folder, or another location, of the copy. */
  readonly location: string;
  /**
   * Files that were copied as they are; absent when content was copied from one kind of store to
   * another.
   */
  readonly packs?: number;
  /** Manifests in the copy, when content was copied. */
  readonly manifests?: number;
  /**
   * Manifests that cannot be read, when content was copied; the copy keeps their state from an
   * older backup.
   */
  readonly unreadable?: readonly ManifestKey[];
  /** Everything the copy occupies. */
  readonly bytes: number;
  /** Of that, the bytes that had to be copied: an older backup in the same folder had the rest. */
  readonly copiedBytes: number;
  readonly durationMs: number;
}

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

/** The report of a maintenance run: text of the layers above, opaque to the backend. */
export interface StoredReport {
  /** When the run began, in ms since the epoch. */
  readonly time: number;
  /** At most {@link MAX_REPORT_BYTES} of UTF-8. */
  readonly body: string;
}

/** Longest report, in bytes of UTF-8. */
export const MAX_REPORT_BYTES = 64 * 1024;

/** At least this many of the newest reports are kept. */
export const KEPT_REPORTS = 1000;

/** Reports of maintenance runs, stored in the store. */
export interface ReportLog {
  /** @throws `READ_ONLY`, and errors of the store. */
  add(report: StoredReport, options?: AbortOptions): Promise<void>;
  /** Newest first, at most `limit` (default and maximum: {@link KEPT_REPORTS}). */
  list(options?: AbortOptions & { readonly limit?: number }): Promise<StoredReport[]>;
}

/**
 * A lease in force. It only avoids duplicate work. Nothing may depend on it, because a suspended
 * process may believe in a lease that another process has taken over long ago.
 */
export interface Lease {
  /**
   * Extends it to `ttlMs` from now. Returns whether it was still in force; `false` when that is
   * unknown.
   */
  renew(ttlMs: number, options?: AbortOptions): Promise<boolean>;
  /** Ends it, if it is still in force. */
  release(): Promise<void>;
}

/** Something wrong with the surroundings of a store. */
export interface DoctorFinding {
  readonly kind:
    | 'link'
    | 'mode'
    | 'owner'
    | 'network'
    | 'read-only'
    | 'space'
    | 'foreign'
    | 'lock'
    | 'clock'
    | 'log'
    | 'index'
    | 'pack';
  /** For people: names the first path. */
  readonly message: string;
  /** All paths concerned. */
  readonly paths: readonly string[];
  /** What to do about it. */
  readonly remedy: string;
  /**
   * Whether content or work is at risk; otherwise something is untidy, or more accessible than
   * necessary.
   */
  readonly harmful: boolean;
}

/** The surroundings of a store in a directory. */
export interface DoctorReport {
  readonly location: string;
  /** The real directory, when its path is a link. */
  readonly directory: string;
  /** Bytes free for this user on the medium. */
  readonly freeBytes: number;
  /** Versions. */
  readonly node: string;
  readonly sqlite: string;
  readonly findings: readonly DoctorFinding[];
}

/** What a salvage may be given. */
export interface SalvageOptions extends AbortOptions {
  readonly onProgress?: ProgressCallback | undefined;
}

export const SALVAGE_OPTIONS = declareOptions<SalvageOptions>()({
  members: (is: OptionKinds) => ({
    onProgress: is.callback<ProgressCallback>(),
    signal: is.signal,
  }),
});

/** A manifest that is not in the salvaged store, and the reason. */
export interface DoubtfulManifest extends ManifestKey {
  readonly reason: string;
}

/** The result of a salvage. */
export interface SalvageReport {
  /** The folder of the new store. */
  readonly location: string;
  /** Manifests in it. */
  readonly manifests: number;
  /** Whether nothing is in doubt and nothing is lost; then the fields below are empty. */
  readonly isCertain: boolean;
  /**
   * A second store for content that can be read but may be outdated or deleted, or has lost its id;
   * absent when there is none.
   */
  readonly quarantine?: {
    readonly location: string;
    readonly manifests: readonly DoubtfulManifest[];
  };
  /** Manifests that cannot be read in part or in full. */
  readonly lost: readonly DoubtfulManifest[];
  /** Unreadable data, and lost parts of the log; sentences. */
  readonly damage: readonly string[];
  readonly durationMs: number;
}

/** What a body shows about itself without its manifest. */
export interface BodyNature {
  readonly kind: ManifestKind;
  /** Whether a manifest begins with it; `undefined`: it can only when nothing precedes it. */
  readonly isFirst: boolean | undefined;
  /** Whether nothing follows it. */
  readonly isLast: boolean;
}

/** Classifies a body with this many references; `undefined` when it does not decode. */
export type BodyJudge = (body: Uint8Array, references: number) => BodyNature | undefined;
