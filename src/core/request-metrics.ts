/** Requests to a storage service since the store was opened. */
export interface RequestMetrics {
  /**
   * Requests sent by verb, each try counted; every request of a multipart upload counts as a `put`.
   */
  readonly requests: Readonly<Record<'get' | 'head' | 'put' | 'delete' | 'list', number>>;
  /** Bytes of bodies, without headers. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Conditional writes whose condition did not hold. */
  readonly refused: number;
  /** Requests that were retried after a failure. */
  readonly retries: number;
  /** Requests that failed or whose outcome is unknown, including those that were retried. */
  readonly failures: number;
}
