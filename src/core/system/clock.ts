/** Time and chance, apart, so that a simulation can be in charge of both. */
export interface Clock {
  /** Milliseconds of a clock that never goes back; tells durations within this process only. */
  monotonic(): number;
  /**
   * Milliseconds since the epoch by the local clock. For what people read, never for what is
   * decided.
   */
  now(): number;
  /** Waits; rejects with the signal's reason when it fires. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Sources of names that are never used twice. */
export interface Randomness {
  /** 12 characters of [A-Za-z0-9_-], 72 bits. */
  nonce(): string;
  /** From 0 to 1, for jitter. */
  fraction(): number;
}
