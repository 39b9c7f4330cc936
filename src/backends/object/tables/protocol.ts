import type { Foundation } from './foundation.ts';
import type { ManifestTable } from './manifest-table.ts';
import type { PageTable } from './page-table.ts';
import type { SidecarTable } from './sidecar-table.ts';

/** What the parts of the protocol share. */
export interface Protocol extends Foundation {
  readonly sidecars: SidecarTable;
  readonly manifests: ManifestTable;
  readonly pages: PageTable;
}
