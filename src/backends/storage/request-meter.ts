import type { RequestMetrics } from '../../core/request-metrics.ts';

/** What a request asks for. Each request of a multipart upload counts as a `put`. */
export type RequestVerb = 'get' | 'head' | 'put' | 'delete' | 'list';

/**
 * Counts requests. One meter serves all layers of a store: the one that sends requests and the one
 * that repeats them.
 */
export class RequestMeter {
  readonly #requests: Record<RequestVerb, number> = { get: 0, head: 0, put: 0, delete: 0, list: 0 };
  #bytesUp = 0;
  #bytesDown = 0;
  #refused = 0;
  #retries = 0;
  #failures = 0;

  sent(verb: RequestVerb, bytesUp = 0): void {
    this.#requests[verb]++;
    this.#bytesUp += bytesUp;
  }

  received(bytes: number): void {
    this.#bytesDown += bytes;
  }

  refused(): void {
    this.#refused++;
  }

  retried(): void {
    this.#retries++;
  }

  failed(): void {
    this.#failures++;
  }

  /** The counts until now; they start at zero with the meter and are never reset. */
  metrics(): RequestMetrics {
    return {
      requests: { ...this.#requests },
      bytesUp: this.#bytesUp,
      bytesDown: this.#bytesDown,
      refused: this.#refused,
      retries: this.#retries,
      failures: this.#failures,
    };
  }
}
