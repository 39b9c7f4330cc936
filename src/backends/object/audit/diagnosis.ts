import type { Finding } from '../../contract/audit.ts';
import { MOST_NAMED_MANIFESTS } from '../../contract/findings.ts';
import type { ManifestKey } from '../../contract/manifests.ts';
import type { SegmentReferences } from '../listing/reference-scan.ts';

/** A finding, and its repair. */
export interface Diagnosis {
  readonly finding: Omit<Finding, 'repaired'>;
  /**
   * Repairs it, and returns whether it is repaired. Idempotent, and safe beside everything.
   * `undefined` when there is no repair.
   */
  readonly mend: (() => Promise<boolean>) | undefined;
  /** Its reason is what no manifest names: it is repaired only if every manifest could be read. */
  readonly needsAllManifests?: true;
}

/** The text of a repair that waits because manifests cannot be read. */
const WAITING = 'none: it waits until every manifest can be read';

/** The manifests that a finding names. */
export function firstOf(references: readonly { readonly key: ManifestKey }[]): ManifestKey[] {
  // The keys of others are not even looked up.
  return references.slice(0, MOST_NAMED_MANIFESTS).map(({ key }) => key);
}

/** The committed manifests that reference a segment. */
export function referrersOf({ committed }: SegmentReferences): ManifestKey[] {
  return firstOf([...committed.values()]);
}

/** The same diagnosis where manifests cannot be read: what these reference is not known. */
export function untilAllReadable(diagnosis: Diagnosis): Diagnosis {
  if (!diagnosis.needsAllManifests) return diagnosis;
  return { finding: { ...diagnosis.finding, repair: WAITING }, mend: undefined };
}
