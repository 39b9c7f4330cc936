import { type AbortOptions, abortOf } from '../../../core/abort.ts';
import { mapAll } from '../../../core/concurrency.ts';
import { VarveError } from '../../../core/errors.ts';
import { KEPT_REPORTS, type ReportLog, type StoredReport } from '../../contract/reports.ts';
import { checkReport } from '../../contract/write-validation.ts';
import { deleteAll } from '../../storage/delete-all.ts';
import { listObjects } from '../../storage/listing.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { REPORTS_PREFIX, reportKey } from '../format/keys.ts';
import type { Protocol } from '../tables/protocol.ts';

/** Tries of writing a report when the service does not answer whether it was written. */
const WRITE_ATTEMPTS = 3;

/** One write in this many lists the reports and deletes the oldest. */
const WRITES_PER_TRIM = 16;

/** Reports as objects: `reports/<time>-<nonce>.json`, in the order of time. */
export class ObjectReportLog implements ReportLog {
  readonly #protocol: Pick<Protocol, 'store' | 'serverClock' | 'randomness'>;

  constructor(protocol: Pick<Protocol, 'store' | 'serverClock' | 'randomness'>) {
    this.#protocol = protocol;
  }

  async add(report: StoredReport, { signal }: AbortOptions = {}): Promise<void> {
    checkReport(report);
    const { store, randomness } = this.#protocol;
    const key = reportKey(report.time, randomness.nonce());
    await putReport(store, key, Buffer.from(report.body), abortOf(signal));
    if (randomness.fraction() * WRITES_PER_TRIM >= 1) return;
    const keys = await this.#keys(abortOf(signal));
    const surplus = keys.slice(0, Math.max(0, keys.length - KEPT_REPORTS));
    await deleteAll(store, surplus, abortOf(signal));
  }

  async list({
    limit = KEPT_REPORTS,
    signal,
  }: AbortOptions & { readonly limit?: number } = {}): Promise<StoredReport[]> {
    const keys = await this.#keys(abortOf(signal));
    const newest = keys.slice(-KEPT_REPORTS).reverse().slice(0, Math.max(0, limit));
    const objects = await mapAll(newest, (key) => this.#protocol.store.get(key, abortOf(signal)));
    // One may have been trimmed since it was listed.
    return objects.flatMap((object, at) =>
      object === undefined
        ? []
        : [{ time: timeOf(newest[at] as string), body: Buffer.from(object.body).toString('utf8') }],
    );
  }

  async #keys(options: AbortOptions): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of listObjects(this.#protocol, REPORTS_PREFIX, options))
      keys.push(key);
    return keys;
  }
}

async function putReport(
  store: ObjectStore,
  key: string,
  body: Uint8Array,
  options: AbortOptions,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    // The name is used once, so there is nothing to replace.
    const result = await store.put(key, body, { kind: 'any' }, options);
    if (result.outcome !== 'unknown') return;
    if (attempt === WRITE_ATTEMPTS) {
      throw new VarveError('OUTCOME_UNKNOWN', `the report ${key} may not have been stored`, {
        cause: result.error,
      });
    }
  }
}

function timeOf(key: string): number {
  return Date.parse(key.slice(REPORTS_PREFIX.length).slice(0, '2026-01-31T00:00:00.000Z'.length));
}
