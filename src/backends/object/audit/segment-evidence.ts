import type { Address } from '../../../core/address.ts';
import type { ReferenceRepair } from '../commit/reference-repair.ts';
import type { Generation, Sidecar } from '../format/sidecar.ts';
import type { ReferenceScan, SegmentReferences } from '../listing/reference-scan.ts';
import type { Hints } from '../tables/hints.ts';
import type { Protocol } from '../tables/protocol.ts';

/** What the checks of segments use. */
export interface SegmentAuditContext {
  readonly protocol: Protocol;
  readonly hints: Hints;
  readonly scan: ReferenceScan;
  readonly repair: ReferenceRepair;
}

/** What an audit has read about one segment. */
export interface SegmentEvidence {
  readonly address: Address;
  /** Those whose data was listed. */
  readonly generations: readonly Generation[];
  /** What the scanned manifests say of it. */
  readonly references: SegmentReferences;
}

/** The same, where the sidecar can be read. */
export interface SidecarEvidence extends SegmentEvidence {
  readonly sidecar: Sidecar;
}
