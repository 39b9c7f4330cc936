import { throwIfAborted } from '../../../core/abort.ts';
import { slicesOf } from '../../../core/batches.ts';
import type { CollectOptions, CollectShare } from '../../contract/collection.ts';
import type { Revision } from '../../contract/manifests.ts';
import type { LocalWrite } from '../commit/local-write.ts';
import type { MaintenanceContext } from '../commit/maintenance-context.ts';
import { KIND_NUMBERS } from '../format/schema.ts';
import type { LocalIndex } from '../tables/local-index.ts';
import { type ManifestRow, revisionOf, uploaderOf } from '../tables/manifest-table.ts';
import type { CollectScope } from './collect-scope.ts';

/** Manifests deleted in one transaction. */
const BATCH = 256;

/** Expired manifests per list. */
const LISTED = 50_000;

export interface ExpireTotals {
  /** Expired manifests, and their logical bytes. */
  readonly expired: CollectShare;
  /** Uploads whose process is gone. Their size is not known before they end. */
  readonly abandoned: CollectShare;
}

/** Expired manifests that nobody holds, and uploads whose process is gone, a batch at a time. */
export function* listExpired(
  { index, owner }: MaintenanceContext,
  now: number,
  scope: CollectScope,
): Generator<readonly ManifestRow[], void, undefined> {
  const rowsOf = (ids: readonly number[]) => ids.flatMap((id) => index.manifests.at(id) ?? []);
  for (const ids of listExpiredIds(index, now, scope)) {
    for (const batch of slicesOf(ids, BATCH)) {
      const due = rowsOf(batch).filter(({ id }) => index.holds.find(id) === undefined);
      if (due.length > 0) yield due;
    }
  }
  for (let last = 0; ; ) {
    const rows = index.database.all<ManifestRow>(
      `SELECT * FROM manifest WHERE kind = ? AND kind <> 0 AND id > ? AND ${scope.numberCondition('+id')}
       ORDER BY id LIMIT ${BATCH}`,
      KIND_NUMBERS.upload,
      last,
    );
    const abandoned = rows.filter((row) => !owner.isAlive(uploaderOf(row)));
    if (abandoned.length > 0) yield abandoned;
    if (rows.length < BATCH) return;
    last = (rows.at(-1) as ManifestRow).id;
  }
}

/** Lists of ids of expired manifests, each in the order of ids, which is that of their bodies. */
function* listExpiredIds(
  { database }: LocalIndex,
  now: number,
  scope: CollectScope,
): Generator<number[], void, undefined> {
  type Expiry = Pick<ManifestRow, 'id'> & { readonly expires: number };
  const share = scope.numberCondition('+id');
  for (let last: Expiry = { expires: Number.MIN_SAFE_INTEGER, id: 0 }; ; ) {
    // Very many may expire at one time: a page must not pass those again that came before.
    const same = database.all<Expiry>(
      `SELECT id, expires FROM manifest WHERE expires = ? AND expires <= ? AND id > ? AND ${share}
       ORDER BY id LIMIT ${LISTED}`,
      last.expires,
      now,
      last.id,
    );
    const later = database.all<Expiry>(
      `SELECT id, expires FROM manifest WHERE expires > ? AND expires <= ? AND ${share}
       ORDER BY expires, id LIMIT ${LISTED - same.length}`,
      last.expires,
      now,
    );
    const page = [...same, ...later];
    yield page.map(({ id }) => id).sort((a, b) => a - b);
    if (page.length < LISTED) return;
    last = page.at(-1) as Expiry;
  }
}

/** Deletes them, each only if it has not changed. */
export async function deleteExpired(
  context: MaintenanceContext,
  now: number,
  scope: CollectScope,
  { signal, onProgress }: CollectOptions,
): Promise<ExpireTotals> {
  const totals = new ExpireCounts();
  for (const rows of listExpired(context, now, scope)) {
    throwIfAborted(signal);
    if (scope.isOver) break;
    const outcomes = await context.commit(rows.map((row) => deletion(context, row)));
    totals.add(rows.filter((_, at) => outcomes[at]?.status === 'deleted'));
    const { expired, abandoned } = totals;
    onProgress?.({ phase: 'expire', done: expired.count + abandoned.count, total: 0 });
  }
  return totals;
}

/** Sums up manifests by the reason for their deletion. */
export class ExpireCounts implements ExpireTotals {
  readonly expired = { count: 0, bytes: 0 };
  readonly abandoned = { count: 0, bytes: 0 };

  add(rows: readonly ManifestRow[]): void {
    for (const { kind, bytes } of rows) {
      const total = kind === KIND_NUMBERS.upload ? this.abandoned : this.expired;
      total.count++;
      total.bytes += bytes;
    }
  }
}

function deletion({ index }: MaintenanceContext, row: ManifestRow): LocalWrite {
  return {
    operation: 'delete',
    key: index.manifests.key(row),
    ifRevision: revisionOf(row) as Revision,
  };
}
