import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';
import type { Clock, Randomness } from '../../core/system/clock.ts';
import type { Retries } from '../storage/decorators/retries.ts';
import type { RequestMeter } from '../storage/request-meter.ts';
import type { ServiceWatch } from '../storage/service-watch.ts';
import type { HeadsState } from './heads/heads-memory.ts';
import type { PageSizes, ProtocolSettings } from './tables/foundation.ts';

const LONGEST_INLINE_BYTES = 1024 * 1024;

/**
 * How a store on an object storage service works; settings, not formats: each may differ from one
 * opening to the next.
 */
export interface ObjectStoreOptions {
  /** Parts of messages shorter than this many bytes live in the manifest. Default: 4,096. */
  readonly inlineBelow?: number | undefined;
  /** Most requests under way at once. Default: 32. */
  readonly concurrency?: number | undefined;
  /** Segments kept in memory for the next reader, in bytes. Default: 64 MiB. */
  readonly cacheBytes?: number | undefined;
  /** zstd level, 1 to 19. Default: 9. */
  readonly compressionLevel?: number | undefined;
  /**
   * How long a writer may go without a sign of life before others may undo what it began, in ms.
   * Default: 30,000.
   */
  readonly leaseMs?: number | undefined;
  /**
   * How long a call may take, in ms, on top of a second for each 128 KiB that it moves: opening the
   * store, each commit, each read, with all that it tries again and cleans up. It then fails with
   * `UNAVAILABLE`, `THROTTLED`, `BUSY` or `OUTCOME_UNKNOWN`. In long work (import, export, list,
   * stored streams, collection, audit, backup) each commit, each read, each page of a listing and
   * each change of one object is a call. Default: 60,000.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Where audits and full collections of stores with more than a million references make a folder
   * for sorting them. Default: the folder of the system for temporary files (`TMPDIR`).
   */
  readonly temporaryFolder?: string | undefined;
}

/** The kinds of {@link ObjectStoreOptions}. */
export function objectStoreKinds(is: OptionKinds) {
  return {
    inlineBelow: is.whole(0, LONGEST_INLINE_BYTES),
    concurrency: is.whole(1, 10_000),
    cacheBytes: is.whole(0),
    compressionLevel: is.whole(1, 19),
    leaseMs: is.number(1000),
    timeoutMs: is.number(1),
    temporaryFolder: is.text,
  };
}

export const OBJECT_STORE_OPTIONS = declareOptions<ObjectStoreOptions>()({
  defaults: {
    inlineBelow: 4096,
    concurrency: 32,
    cacheBytes: 64 * 1024 * 1024,
    compressionLevel: 9,
    leaseMs: 30_000,
    timeoutMs: 60_000,
  },
  members: objectStoreKinds,
});

/** How a store of objects is opened, and how it works then. */
export interface ObjectBackendOptions extends ObjectStoreOptions {
  /** Never write. Default: false. */
  readonly readOnly?: boolean | undefined;
  /** Ends the opening and every call, now and later. Default: nothing does. */
  readonly signal?: AbortSignal | undefined;
  /** As in {@link ProtocolSettings}. Default: 64 KiB. */
  readonly spillAbove?: number | undefined;
  /** As in {@link ProtocolSettings}. */
  readonly pageSizes?: PageSizes | undefined;
  /** As in {@link ProtocolSettings}. Default: 1,000,000. */
  readonly scannedReferences?: number | undefined;
}

/**
 * A record carries its entries with every append, and a page takes some six requests: so records
 * hold 4 KiB of entries on average, and pages are made of at least eight.
 */
const PAGE_SIZES: PageSizes = {
  firstAbove: 32 * 1024,
  above: 8 * 1024,
  entries: 8,
  fanIn: 8,
  most: 3 * 1024 * 1024,
  keys: 128,
};

/** The options with defaults for those that are left out. */
export function completeOptions({
  readOnly = false,
  spillAbove = 64 * 1024,
  scannedReferences = 1_000_000,
  pageSizes = PAGE_SIZES,
  ...options
}: ObjectBackendOptions) {
  const given = OBJECT_STORE_OPTIONS.complete(options);
  return { ...given, readOnly, spillAbove, scannedReferences, pageSizes };
}

/** What a store of objects is made of, besides the objects. */
export interface ObjectComponents {
  /** Default: the clock of the system. */
  readonly clock?: Clock;
  /** Default: that of the system. */
  readonly randomness?: Randomness;
  /** Counts the requests of a store that counts its own. Default: one is counted for each call. */
  readonly meter?: RequestMeter;
  /** Repeats requests. Default: each is sent once. */
  readonly retries?: Retries;
  /** See `Backend.identity`. */
  readonly identity?: string;
  /** Of the store that is open. Default: the newest. */
  readonly format?: number;
  /** Keeps from writing to a service that is unfit. Default: nothing does. */
  readonly watch?: ServiceWatch | undefined;
  /** What lists are read from, as the descriptor says. Default: `none`. */
  readonly heads?: HeadsState;
}
