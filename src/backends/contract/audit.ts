/** What an audit is asked to do, and what it found. */

import type { AbortOptions } from '../../core/abort.ts';
import type { Address } from '../../core/address.ts';
import type { OptionKinds } from '../../core/options/option-kinds.ts';
import { declareOptions } from '../../core/options/options.ts';
import type { ProgressCallback } from './collection.ts';
import type { ManifestKey, ManifestKind } from './manifests.ts';

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
