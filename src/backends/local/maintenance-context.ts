import type { WriteOutcome } from '../contract/manifests.ts';
import type { CommitTuning, LocalWrite } from './commit-transaction.ts';
import type { LocalIndex } from './local-index.ts';
import type { PackReader } from './pack-files.ts';
import type { PackOwner } from './pack-owner.ts';
import type { StoreFolder } from './store-folder.ts';

/** What collection and audit need of the backend. */
export interface MaintenanceContext {
  readonly root: string;
  readonly folder: StoreFolder;
  readonly index: LocalIndex;
  readonly packs: PackReader;
  readonly owner: PackOwner;
  readonly tuning: CommitTuning;
  readonly clock: () => number;
  readonly commit: (writes: readonly LocalWrite[]) => Promise<WriteOutcome[]>;
}
