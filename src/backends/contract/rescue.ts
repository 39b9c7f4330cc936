/** What is said of a store that does not open: its surroundings, and what a salvage saved. */

import type { AbortOptions } from '../../core/abort.ts';
import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';
import type { ProgressCallback } from './collection.ts';
import type { ManifestKey } from './manifests.ts';

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
