/** What is known of a service's answer, or of why there was none. */
export interface FaultDetails {
  /** The service's or the system's name of it: `SlowDown`, `ECONNRESET`. */
  readonly name: string;
  /** HTTP status; `undefined` when there was no answer. */
  readonly status?: number | undefined;
  /** What the service's operator finds the request by. */
  readonly requestId?: string | undefined;
  /** How long the service asked to be left alone, in ms. */
  readonly retryAfterMs?: number | undefined;
}

/**
 * Whether an answer is enough to know that a write was not applied and never will be: the service
 * turned it away at the door. Any other 5xx, a bare 503 among them, may come from something in
 * between that had passed the request on.
 */
export function wasTurnedAway({ name, status }: FaultDetails): boolean {
  return name === 'SlowDown' || status === 429;
}

/**
 * What a storage service or the network said: the `cause` of a `VarveError`. It is built from
 * single fields, because the errors of clients carry requests and responses along, and those hold
 * credentials.
 */
export class ServiceFault extends Error implements FaultDetails {
  override readonly name: string;
  readonly status: number | undefined;
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, { name, status, requestId, retryAfterMs }: FaultDetails) {
    super(message);
    this.name = name;
    this.status = status;
    this.requestId = requestId;
    this.retryAfterMs = retryAfterMs;
  }
}
