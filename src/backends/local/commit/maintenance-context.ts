import type { WriteOutcome } from '../../contract/manifests.ts';
import type { PackReader } from '../files/pack-files.ts';
import type { StoreFolder } from '../files/store-folder.ts';
import type { PackOwner } from '../packs/pack-owner.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import type { CommitTuning } from './entry-writer.ts';
import type { LocalWrite } from './local-write.ts';

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
