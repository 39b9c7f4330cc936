/** What works on stores that are not open: restoring a backup, a doctor's look, salvage. */

import {
  BACKUP_OPTIONS,
  type BackupOptions,
  type BackupReport,
} from './backends/contract/backup.ts';
import {
  type DoctorReport,
  SALVAGE_OPTIONS,
  type SalvageOptions,
  type SalvageReport,
} from './backends/contract/rescue.ts';
import type { S3Config } from './backends/storage/s3/s3-location.ts';
import { abortOf } from './core/abort.ts';
import { invalid } from './core/arguments.ts';
import { assertApart } from './core/system/real-path.ts';
import { type NewStoreAudit, withAudit } from './gc/audit/new-store-audit.ts';
import { replicaIn } from './gc/replication/replica-folder.ts';
import { restoreContent } from './gc/replication/restore.ts';
import { isObjectLocation, pathOf, readLocation } from './location.ts';
import { natureOf } from './manifest/body-nature.ts';
import { examineDirectory, openDirectory, restoreDirectory, salvageDirectory } from './open.ts';
import { openStore, type Store } from './store.ts';

/** What was restored, and what the audit of the new store found. */
export interface RestoreReport extends BackupReport, NewStoreAudit {}

/**
 * Makes a store of a backup, at a location where there is none or an empty one, and audits it. The
 * backup stays as it is. It need not go where it came from: a directory's can be restored to a
 * bucket, and the other way round.
 *
 * ```ts
 * const { audit, findings } = await restoreStore('/mnt/copy', './restored');
 * for (const { message } of findings) console.warn(message);
 * console.log(`${audit.manifests} manifests`);
 * ```
 *
 * @throws `NOT_FOUND`, `INVALID_ARGUMENT`, `NO_SPACE`, `IO`; what an audit finds is in the report.
 */
export async function restoreStore(
  folder: string,
  location: string | URL | S3Config,
  options?: BackupOptions,
): Promise<RestoreReport> {
  const given = BACKUP_OPTIONS.read('restoreStore', options);
  const place = readLocation(location);
  const backup = pathOf(folder);
  const replica = await replicaIn(backup);
  if (replica === undefined && !isObjectLocation(place)) {
    const path = pathOf(place);
    const report = await restoreDirectory(backup, path, given);
    return withAudit(report, await openDirectory(path, { create: false }), given);
  }
  if (!isObjectLocation(place)) assertApart(pathOf(place), backup);
  const source = await openDirectory(replica ?? backup, { readOnly: true });
  try {
    const { backend } = await openStore(place, abortOf(given.signal));
    try {
      return withAudit(await restoreContent(source, backend, given), backend, given);
    } catch (error) {
      await backend.close();
      throw error;
    }
  } finally {
    await source.close();
  }
}

/**
 * Reports what is wrong with the surroundings of a store in a directory: links, modes and owners,
 * strange files, the medium, locks of processes that are gone, packs that are missing or too short,
 * times in the future. Changes nothing and reads no content: that is for {@link Store.audit}.
 *
 * ```ts
 * for (const { message, remedy } of (await doctor('./archive')).findings) {
 *   console.warn(message, remedy);
 * }
 * ```
 *
 * @throws `NOT_FOUND` when there is no store, `INVALID_ARGUMENT` for one of objects, `DENIED`,
 *   `IO`.
 */
export async function doctor(location: string | URL): Promise<DoctorReport> {
  const place = location instanceof URL ? location.href : location;
  if (isObjectLocation(place)) throw invalid(`a doctor examines directories, not ${place}`);
  return examineDirectory(pathOf(place));
}

/** What was salvaged, and what the audit of the new store found. */
export interface SalvageStoreReport extends SalvageReport, NewStoreAudit {}

/**
 * Rebuilds a store in a directory from its packs alone, in a new or empty folder, and audits it:
 * for a store whose index is lost, damaged or outdated. What is deleted stays deleted. What can be
 * read but may be outdated or deleted, or has no id any more, goes into a second store beside the
 * new one, named `<target>.quarantine`. The directory itself is only read.
 *
 * ```ts
 * const { isCertain, manifests, lost } = await salvageStore('./damaged', './salvaged');
 * ```
 *
 * @throws `NOT_FOUND` when there are no packs; `INVALID_ARGUMENT` when a folder to write to is not
 *   empty; `NO_SPACE`, `IO`.
 */
export async function salvageStore(
  directory: string,
  target: string,
  options?: SalvageOptions,
): Promise<SalvageStoreReport> {
  const given = SALVAGE_OPTIONS.read('salvageStore', options);
  const path = pathOf(target);
  const report = await salvageDirectory(pathOf(directory), path, natureOf, given);
  return withAudit(report, await openDirectory(path, { create: false }), given);
}
