/** What has been asked of a storage service since the store was opened. */
export interface RequestMetrics {
  /** Requests sent by verb, each try counted; every request of a multipart upload is a `put`. */
  readonly requests: Readonly<Record<'get' | 'head' | 'put' | 'delete' | 'list', number>>;
  /** Bytes of bodies, without headers. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Conditional writes whose condition did not hold. */
  readonly refused: number;
  /** Requests that were repeated after a failure. */
  readonly retries: number;
  /** Requests that failed or whose outcome is unknown, those that were repeated included. */
  readonly failures: number;
}
