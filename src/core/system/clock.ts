/** Time, behind an interface so that a simulation can control it. */
export interface Clock {
  /** Milliseconds of a clock that never goes back; measures durations within this process only. */
  monotonic(): number;
  /** Milliseconds since the epoch by the local clock. For people to read, never for decisions. */
  now(): number;
  /** Waits; rejects with the signal's reason when it fires. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** A source of unique names and random numbers. */
export interface Randomness {
  /** 12 characters of [A-Za-z0-9_-], 72 bits. */
  nonce(): string;
  /** From 0 to 1, for jitter. */
  fraction(): number;
}
