import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';

const LONGEST_INLINE_BYTES = 1024 * 1024;
const LARGEST_BLOCK_BYTES = 16 * 1024 * 1024;

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

/** The kinds of {@link LocalStoreOptions}. */
export function localStoreKinds(is: OptionKinds) {
  return {
    allowNetworkFileSystem: is.flag,
    lockTimeoutMs: is.number(0),
    sharedWith: is.oneOf('owner', 'group'),
    segmentBlockBytes: is.whole(1, LARGEST_BLOCK_BYTES),
    bodyBlockBytes: is.whole(1, LARGEST_BLOCK_BYTES),
    compressionLevel: is.whole(1, 19),
    packBytes: is.whole(1),
    inlineBelow: is.whole(0, LONGEST_INLINE_BYTES),
  };
}

const LOCAL_STORE_OPTIONS = declareOptions<LocalStoreOptions>()({
  defaults: {
    allowNetworkFileSystem: false,
    lockTimeoutMs: 60_000,
    segmentBlockBytes: 256 * 1024,
    bodyBlockBytes: 1024 * 1024,
    compressionLevel: 5,
    packBytes: 64 * 1024 * 1024,
    inlineBelow: 512,
  },
  members: localStoreKinds,
});

/** How a store in a directory is opened, and how it works then. */
export interface LocalOptions extends LocalStoreOptions {
  /** Create the store if there is none. Default: true. */
  readonly create?: boolean | undefined;
  /** Never write; works on a read-only medium. Default: false. */
  readonly readOnly?: boolean | undefined;
  /** Ends the opening and every call, now and later. Default: nothing does. */
  readonly signal?: AbortSignal | undefined;
}

/** The options with defaults for those that are left out. */
export type CompleteLocalOptions = ReturnType<typeof completeOptions>;

export function completeOptions({ create = true, readOnly = false, ...options }: LocalOptions) {
  return { ...LOCAL_STORE_OPTIONS.complete(options), create, readOnly };
}
