/**
 * What keeps a store sound and small: collection, audit, backup, usage, and what runs of these
 * leave behind.
 */

import type { AbortOptions } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import { VarveError } from '../../core/errors.ts';
import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';
import type { ManifestHead, ManifestKey, ManifestKind, SegmentDescription } from './manifests.ts';

/** What all collections may be given. */
export interface CollectWorkOptions extends AbortOptions {
  /** Give back all space that can be given back, at the cost of rewriting more. Default: false. */
  readonly full?: boolean | undefined;
  /**
   * Do only this share of the work. Shards of one `count` are disjoint and do all of it together,
   * in any order and at once, in one process or many. Default: all.
   */
  readonly shard?: CollectShard | undefined;
  /**
   * Requests under way at once, where steps are requests; without effect where they are
   * transactions. Default: 8.
   */
  readonly concurrency?: number | undefined;
  readonly onProgress?: ProgressCallback | undefined;
}

/**
 * Called now and then; `total` may grow, and is 0 while it is not known. Of a store, what it gets
 * is the whole event.
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
  /** Report what would be done, do nothing. Default: false. */
  readonly dryRun?: boolean | undefined;
  /**
   * End only when no byte of deleted content is left on the medium, neither in data nor in indexes,
   * logs and caches. Takes everything that nothing references, whatever `graceMs` says; goes with
   * no `shard`. What it could not get rid of is in the report. Default: false.
   */
  readonly erase?: boolean | undefined;
  /**
   * Begin no further step after this many milliseconds; the report then says `isComplete: false`.
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

/** What a collection is to do: options with their defaults. */
export type CollectSettings = ReturnType<typeof COLLECT_OPTIONS.read>;

/** @throws `INVALID_ARGUMENT`, saying which option cannot be and what is allowed. */
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
 * Why something is collected: a manifest's time has come (`expired`), a stream was cut off
 * (`abandoned-upload`), nothing has referenced a segment since before the grace (`unreferenced`), a
 * file holds too little that is alive (`dead-space`) or too many blocks that compress badly
 * (`small-blocks`).
 */
export type CollectReason =
  | 'expired'
  | 'abandoned-upload'
  | 'unreferenced'
  | 'dead-space'
  | 'small-blocks';

/**
 * `count` manifests, uploads, segments or files; `bytes` before compression, for files the stored
 * bytes that are dead.
 */
export interface CollectShare {
  readonly count: number;
  readonly bytes: number;
}

/** What a collection did, or in a dry run would do. */
export interface CollectReport {
  readonly dryRun: boolean;
  /** `false` when the deadline came first: the next run goes on from there. */
  readonly isComplete: boolean;
  /**
   * What was, or in a dry run would be, done, by the reason for it; what did not occur is left out.
   */
  readonly reasons: Readonly<Partial<Record<CollectReason, CollectShare>>>;
  readonly expiredManifests: number;
  /** Segments that nothing has referenced since before the grace. */
  readonly collectedSegments: number;
  /** Their size before compression. */
  readonly collectedBytes: number;
  /** Unreferenced, but within the grace. */
  readonly waitingSegments: number;
  readonly waitingBytes: number;
  /** Stored bytes given back to the medium by this run; in a dry run, an estimate. */
  readonly freedBytes: number;
  /** Stored bytes that are dead but wait until rewriting what surrounds them pays. */
  readonly deadBytes: number;
  readonly rewrittenPacks: number;
  /** Of an erasure: where bytes of deleted content may be left. Empty when all are gone. */
  readonly remnants?: readonly Remnant[];
  readonly durationMs: number;
}

/** A place that an erasure could not rid of deleted content. */
export interface Remnant {
  /** The segment that is left, where it is known. */
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

/** Something an audit found wrong. */
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
   * What repair does about it; `none` when only a copy from elsewhere helps, `none…: ` and why when
   * nothing more can be done now.
   */
  readonly repair: string;
  readonly repaired: boolean;
  /** Whether content of a manifest is lost or altered: `false` for bookkeeping and garbage. */
  readonly harmful: boolean;
}

/** What an audit may be given. */
export interface AuditOptions extends AbortOptions {
  /** Mend what can be mended. Default: false. */
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

/** What an audit is to do: options with their defaults. */
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
  /** The folder, or another location, that holds the copy now. */
  readonly location: string;
  /**
   * Files that were copied as they are; absent where content was copied from one kind of store to
   * another.
   */
  readonly packs?: number;
  /** Manifests in the copy, where content was copied. */
  readonly manifests?: number;
  /**
   * Manifests that cannot be read, where content was copied; an older backup's state of them is
   * kept.
   */
  readonly unreadable?: readonly ManifestKey[];
  /** Everything the copy occupies. */
  readonly bytes: number;
  /** Of that, what had to be copied: an older backup in the same folder had the rest. */
  readonly copiedBytes: number;
  readonly durationMs: number;
}

/** What is stored, and what it takes on its medium. */
export interface Usage {
  /** By kind; `logicalBytes` is the size of the content as it was given. */
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
  /** Of that, what serves finding rather than content. */
  readonly indexBytes: number;
  /** Segments and bytes waiting for collection. */
  readonly garbageSegments: number;
  readonly garbageBytes: number;
}

/** A segment as one manifest uses it. */
export interface SurveyedSegment extends SegmentDescription {
  /**
   * What it takes on the medium, in bytes: its share, perhaps a fraction, of what is compressed
   * together.
   */
  readonly storedBytes: number;
  /** The part of the segment that this manifest accounts for; those of all manifests make 1. */
  readonly share: number;
  /** How often the manifest's entries name it. */
  readonly uses: number;
}

/** What a manifest takes and references. */
export interface ManifestSurvey {
  readonly head: ManifestHead;
  /** The bodies of its entries, and what these take on the medium: perhaps a fraction, as above. */
  readonly bodyBytes: number;
  readonly bodyStoredBytes: number;
  /** Each once. */
  readonly segments: readonly SurveyedSegment[];
}

/** What a maintenance run left behind: text of the layers above, opaque to the backend. */
export interface StoredReport {
  /** When the run began, in ms since the epoch. */
  readonly time: number;
  /** At most {@link MAX_REPORT_BYTES} of UTF-8. */
  readonly body: string;
}

/** Longest report, in bytes of UTF-8. */
export const MAX_REPORT_BYTES = 64 * 1024;

/** Reports of so many newest runs are kept, at the least. */
export const KEPT_REPORTS = 1000;

/** Reports of maintenance runs, kept in the store. */
export interface ReportLog {
  /** @throws `READ_ONLY`, and what concerns the store. */
  add(report: StoredReport, options?: AbortOptions): Promise<void>;
  /** Newest first, at most `limit` (default: {@link KEPT_REPORTS}, which is also the most). */
  list(options?: AbortOptions & { readonly limit?: number }): Promise<StoredReport[]>;
}

/**
 * A lease that is held. It only avoids doing work twice: nothing may depend on it, because a
 * process that is suspended may believe it has a lease that has long passed to another.
 */
export interface Lease {
  /**
   * Extends it to `ttlMs` from now. Returns whether it was still held; when it is not known,
   * `false`.
   */
  renew(ttlMs: number, options?: AbortOptions): Promise<boolean>;
  /** Ends it, if it is still held. */
  release(): Promise<void>;
}

/** Something that is wrong with the surroundings of a store. */
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
  /** All that it is about. */
  readonly paths: readonly string[];
  /** What to do about it. */
  readonly remedy: string;
  /** Whether content or work is at risk; otherwise it is untidy, or more open than it need be. */
  readonly harmful: boolean;
}

/** What is known of the surroundings of a store in a directory. */
export interface DoctorReport {
  readonly location: string;
  /** Where the store really is, when its path is a link. */
  readonly directory: string;
  /** Bytes that are free for this user on the medium. */
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

/** A manifest, and why it is not in the store that a salvage made. */
export interface DoubtfulManifest extends ManifestKey {
  readonly reason: string;
}

/** What a salvage came to. */
export interface SalvageReport {
  /** The folder of the new store. */
  readonly location: string;
  /** Manifests in it. */
  readonly manifests: number;
  /** Whether nothing is in doubt and nothing is lost: then there is nothing in what follows. */
  readonly isCertain: boolean;
  /**
   * A second store, of what can be read but may be outdated or deleted, or has no id any more;
   * absent when there is nothing of the kind.
   */
  readonly quarantine?: {
    readonly location: string;
    readonly manifests: readonly DoubtfulManifest[];
  };
  /** Manifests of which something cannot be read. */
  readonly lost: readonly DoubtfulManifest[];
  /** What cannot be read, and what of the log is lost; sentences. */
  readonly damage: readonly string[];
  readonly durationMs: number;
}

/** What a body can be told to be without its manifest. */
export interface BodyNature {
  readonly kind: ManifestKind;
  /** Whether a manifest begins with it; `undefined`: with it only where nothing precedes it. */
  readonly isFirst: boolean | undefined;
  /** Whether nothing follows it. */
  readonly isLast: boolean;
}

/** Tells the nature of a body that has so many references; `undefined` when it makes no sense. */
export type BodyJudge = (body: Uint8Array, references: number) => BodyNature | undefined;
