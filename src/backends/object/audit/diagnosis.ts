import type { Finding } from '../../contract/maintenance.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import type { SegmentReferences } from '../listing/reference-scan.ts';

/** A finding, and what mends it. */
export interface Diagnosis {
  readonly finding: Omit<Finding, 'repaired'>;
  /** Returns whether it is mended. Idempotent, and safe beside everything. */
  readonly mend: (() => Promise<boolean>) | undefined;
  /** It goes by what no manifest says: to be mended only when every manifest could be read. */
  readonly needsAllManifests?: true;
}

/** What repair does about data that only a writer can bring back, before and after it was done. */
export const TO_MARK = 'mark it, so that the next put of the same bytes heals it';
export const MARKED = 'none more: it is marked, and the next put of the same bytes heals it';

/** What repair does as long as manifests cannot be read. */
export const WAITING = 'none: it waits until every manifest can be read';

/** Manifests named in one finding. */
const MAX_MANIFESTS = 100;

export function firstOf(keys: readonly ManifestKey[]): ManifestKey[] {
  return keys.slice(0, MAX_MANIFESTS);
}

/** The committed manifests that reference a segment. */
export function holdersOf(references: SegmentReferences | undefined): ManifestKey[] {
  return firstOf([...(references?.held.values() ?? [])].map(({ key }) => key));
}
