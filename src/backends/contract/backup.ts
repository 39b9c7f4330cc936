/** What a backup and a restoration may be given, and what was copied. */

import type { AbortOptions } from '../../core/abort.ts';
import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';
import type { ProgressCallback } from './collection.ts';
import type { ManifestKey } from './manifests.ts';

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
