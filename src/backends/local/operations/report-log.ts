import { KEPT_REPORTS, type ReportLog, type StoredReport } from '../../contract/maintenance.ts';
import { checkReport } from '../../contract/write-validation.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { REPORT_TABLE } from '../format/schema.ts';

/**
 * Reports as rows of the index. A store from before there were reports gets the table with the
 * first one.
 */
export class LocalReportLog implements ReportLog {
  readonly #index: IndexDatabase;

  constructor(index: IndexDatabase) {
    this.#index = index;
  }

  async add(report: StoredReport): Promise<void> {
    checkReport(report);
    await this.#index.write(() => {
      this.#index.execute(REPORT_TABLE);
      this.#index.run(
        'INSERT INTO report (time, body) VALUES (?, ?)',
        Math.floor(report.time),
        report.body,
      );
      this.#index.run(
        `DELETE FROM report WHERE id IN
           (SELECT id FROM report ORDER BY time DESC, id DESC LIMIT -1 OFFSET ${KEPT_REPORTS})`,
      );
    });
  }

  async list({ limit = KEPT_REPORTS }: { readonly limit?: number } = {}): Promise<StoredReport[]> {
    if (!this.#index.hasTable('report')) return [];
    return this.#index.all<StoredReport>(
      'SELECT time, body FROM report ORDER BY time DESC, id DESC LIMIT ?',
      Math.max(0, Math.min(limit, KEPT_REPORTS)),
    );
  }
}
