import { type AbortOptions, throwIfAborted } from '../../../core/abort.ts';
import { KEPT_REPORTS, type ReportLog, type StoredReport } from '../../contract/reports.ts';
import { checkReport } from '../../contract/write-validation.ts';
import type { IndexDatabase } from '../database/index-database.ts';
import { REPORT_TABLE } from '../format/schema.ts';
import type { LocalLifecycle } from './local-lifecycle.ts';

type ListOptions = Parameters<ReportLog['list']>[0] & {};

/**
 * Reports as rows of the index. A store from before there were reports gets the table with its
 * first one.
 */
export class LocalReportLog implements ReportLog {
  readonly #database: IndexDatabase;
  readonly #lifecycle: LocalLifecycle;

  constructor(database: IndexDatabase, lifecycle: LocalLifecycle) {
    this.#database = database;
    this.#lifecycle = lifecycle;
  }

  /** The signal of the store does not end it: what that signal ended is reported, too. */
  async add(report: StoredReport, { signal }: AbortOptions = {}): Promise<void> {
    this.#lifecycle.assertWritable();
    throwIfAborted(signal);
    await this.#lifecycle.doing('writing a report to', () => this.#add(report));
  }

  async list(options: ListOptions = {}): Promise<StoredReport[]> {
    this.#lifecycle.begin(options);
    return this.#lifecycle.doing('reading the reports of', () => this.#list(options));
  }

  async #add(report: StoredReport): Promise<void> {
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

  #list({ limit = KEPT_REPORTS }: ListOptions): StoredReport[] {
    if (!this.#database.hasTable('report')) return [];
    return this.#database.all<StoredReport>(
      'SELECT time, body FROM report ORDER BY time DESC, id DESC LIMIT ?',
      Math.max(0, Math.min(limit, KEPT_REPORTS)),
    );
  }
}
