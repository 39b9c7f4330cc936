import { KEPT_REPORTS, type ReportLog, type StoredReport } from '../../contract/maintenance.ts';
import { checkReport } from '../../contract/write-validation.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { REPORT_TABLE } from '../format/schema.ts';

/**
 * Reports as rows of the index. A store from before there were reports gets the table with the
 * first one.
 */
export class LocalReportLog implements ReportLog {
  readonly #database: IndexDatabase;

  constructor(database: IndexDatabase) {
    this.#database = database;
  }

  async add(report: StoredReport): Promise<void> {
    checkReport(report);
    await this.#database.write(() => {
      this.#database.execute(REPORT_TABLE);
      this.#database.run(
        'INSERT INTO report (time, body) VALUES (?, ?)',
        Math.floor(report.time),
        report.body,
      );
      this.#database.run(
        `DELETE FROM report WHERE id IN
           (SELECT id FROM report ORDER BY time DESC, id DESC LIMIT -1 OFFSET ${KEPT_REPORTS})`,
      );
    });
  }

  async list({ limit = KEPT_REPORTS }: { readonly limit?: number } = {}): Promise<StoredReport[]> {
    if (!this.#database.hasTable('report')) return [];
    return this.#database.all<StoredReport>(
      'SELECT time, body FROM report ORDER BY time DESC, id DESC LIMIT ?',
      Math.max(0, Math.min(limit, KEPT_REPORTS)),
    );
  }
}
