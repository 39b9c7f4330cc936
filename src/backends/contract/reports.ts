/** What the backend keeps for runs of maintenance: their reports and their leases. */

import type { AbortOptions } from '../../core/abort.ts';

/** The report of a maintenance run: text of the layers above, opaque to the backend. */
export interface StoredReport {
  /** When the run began, in ms since the epoch. */
  readonly time: number;
  /** At most {@link MAX_REPORT_BYTES} of UTF-8. */
  readonly body: string;
}

/** Longest report, in bytes of UTF-8. */
export const MAX_REPORT_BYTES = 64 * 1024;

/** At least this many of the newest reports are kept. */
export const KEPT_REPORTS = 1000;

/** Reports of maintenance runs, stored in the store. */
export interface ReportLog {
  /** @throws `READ_ONLY`, and errors of the store. */
  add(report: StoredReport, options?: AbortOptions): Promise<void>;
  /** Newest first, at most `limit` (default and maximum: {@link KEPT_REPORTS}). */
  list(options?: AbortOptions & { readonly limit?: number }): Promise<StoredReport[]>;
}

/**
 * A lease in force. It only avoids duplicate work. Nothing may depend on it, because a suspended
 * process may believe in a lease that another process has taken over long ago.
 */
export interface Lease {
  /**
   * Extends it to `ttlMs` from now. Returns whether it was still in force; `false` when that is
   * unknown.
   */
  renew(ttlMs: number, options?: AbortOptions): Promise<boolean>;
  /** Ends it, if it is still in force. */
  release(): Promise<void>;
}
