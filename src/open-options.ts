import type { OnEvent } from './core/events.ts';
import type { OptionKinds } from './core/options/option-kinds.ts';
import { declareOptions } from './core/options/options.ts';

/**
 * How a store in a directory works; settings, not formats: each may differ from one opening to the
 * next.
 */
export interface LocalStoreOptions {
  /** Open a store on a network file system, whose locks may not protect it. Default: false. */
  readonly allowNetworkFileSystem?: boolean | undefined;
  /**
   * How long a write waits for other processes' writes before it fails with `BUSY`, in ms. Default:
   * 60,000.
   */
  readonly lockTimeoutMs?: number | undefined;
  /**
   * Who may use the files and directories that are created: `owner` (modes 0600 and 0700) or also
   * the `group` (0660 and 2770), whatever the umask. Modes of what exists are never changed: in a
   * store that exists, what is new takes after its index, and another value than that is refused.
   * Ignored on Windows. Default: as the index has it, `owner` for a new store.
   */
  readonly sharedWith?: 'owner' | 'group' | undefined;
  /** Segments are compressed together in blocks of this many bytes. Default: 256 KiB. */
  readonly segmentBlockBytes?: number | undefined;
  /** Manifest bodies are compressed together in blocks of this many bytes. Default: 1 MiB. */
  readonly bodyBlockBytes?: number | undefined;
  /** zstd level, 1 to 19. Default: 5. */
  readonly compressionLevel?: number | undefined;
  /** A pack file is sealed when it has this many bytes. Default: 64 MiB. */
  readonly packBytes?: number | undefined;
  /** Parts of messages shorter than this many bytes live in the manifest. Default: 512. */
  readonly inlineBelow?: number | undefined;
}

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
}

/** How a store is opened. */
export interface OpenOptions {
  /** Create the store if there is none. Default: true, unless `readOnly`. */
  readonly create?: boolean | undefined;
  /** Never write; works on a read-only medium. Default: false. */
  readonly readOnly?: boolean | undefined;
  /** For a store in a directory. */
  readonly local?: LocalStoreOptions | undefined;
  /** For a store of objects. */
  readonly objects?: ObjectStoreOptions | undefined;
  /**
   * Told of what does not keep the store from working, and may harm it: a bucket's lifecycle rules.
   * Default: nobody.
   */
  readonly onWarning?: ((message: string) => void) | undefined;
  /**
   * Told of requests that are repeated, and of how imports, exports, collections, audits, prunes
   * and backups go. An error that it throws is an uncaught one. Default: nobody.
   */
  readonly onEvent?: OnEvent | undefined;
  /**
   * Once it fires, opening the store and everything done with it ends within a second with
   * `ABORTED`, and closing the store waits for nothing; what was under way on objects is left to
   * its lease. Default: nothing ends it.
   */
  readonly signal?: AbortSignal | undefined;
}

const LONGEST_INLINE_BYTES = 1024 * 1024;
const LARGEST_BLOCK_BYTES = 16 * 1024 * 1024;

export const OPEN_OPTIONS = declareOptions<OpenOptions>()({
  // What most callers give, the command line among them.
  plain: {
    create: isFlag,
    readOnly: isFlag,
    onWarning: isFunction,
    onEvent: isFunction,
    signal: isSignal,
  },
  members: (is: OptionKinds) => ({
    create: is.flag,
    readOnly: is.flag,
    onWarning: is.callback<NonNullable<OpenOptions['onWarning']>>(),
    onEvent: is.callback<OnEvent>(),
    signal: is.signal,
    objects: is.group({
      inlineBelow: is.whole(0, LONGEST_INLINE_BYTES),
      concurrency: is.whole(1, 10_000),
      cacheBytes: is.whole(0),
      compressionLevel: is.whole(1, 19),
      leaseMs: is.number(1000),
      timeoutMs: is.number(1),
    }),
    local: is.group({
      allowNetworkFileSystem: is.flag,
      lockTimeoutMs: is.number(0),
      sharedWith: is.oneOf('owner', 'group'),
      segmentBlockBytes: is.whole(1, LARGEST_BLOCK_BYTES),
      bodyBlockBytes: is.whole(1, LARGEST_BLOCK_BYTES),
      compressionLevel: is.whole(1, 19),
      packBytes: is.whole(1),
      inlineBelow: is.whole(0, LONGEST_INLINE_BYTES),
    }),
  }),
});

function isFunction(value: unknown): boolean {
  return typeof value === 'function';
}

function isSignal(value: unknown): boolean {
  return value instanceof AbortSignal;
}

function isFlag(value: unknown): boolean {
  return typeof value === 'boolean';
}
