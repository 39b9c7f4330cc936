import { accessSync, constants } from 'node:fs';
import { toVarveError } from '../../../core/system/system-error.ts';
import type { StoreFolder } from '../files/store-folder.ts';

/** @throws `IO` when the folder is not the one that was opened; `DENIED`, `READ_ONLY`. */
export function assertUsable(folder: StoreFolder, isWritable: boolean): void {
  try {
    folder.assertInPlace();
    if (!isWritable) return;
    for (const path of [folder.root, folder.packs])
      accessSync(path, constants.R_OK | constants.W_OK);
  } catch (cause) {
    throw toVarveError(cause, `looking at the store at ${folder.root}`);
  }
}
