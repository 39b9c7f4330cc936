/** What a collection is asked to do, and what it did. */

import type { AbortOptions } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import { VarveError } from '../../core/errors.ts';
import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';

/** Options of all collections. */
export interface CollectWorkOptions extends AbortOptions {
  /**
   * Look at everything, and free more space at the cost of more rewriting: in a directory, from 5 %
   * of a pack on. Default: false.
   */
  readonly full?: boolean | undefined;
  /**
   * Do only this share of the work. Shards of one `count` are disjoint and together do all of it,
   * in any order and at once, in one process or many. Default: all.
   */
  readonly shard?: CollectShard | undefined;
  /**
   * Concurrent requests, where steps are requests; no effect where they are transactions. Default:
   * the store's.
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
    shard: is.record(
      { index: is.whole(0), count: is.whole(1) },
      {
        member: 'index',
        isOne: ({ index, count }) => index < count,
        what: 'less than shard.count',
      },
    ),
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
