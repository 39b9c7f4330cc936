import type { VarveError } from './errors.ts';

/** Work that may take long enough for somebody to watch. */
export type WorkName = 'open' | 'import' | 'export' | 'collect' | 'audit' | 'prune' | 'backup';

/** Fields that all events of one piece of work share. */
interface OfWork {
  readonly work: WorkName;
  /** Distinguishes pieces of work that run at the same time in one process. */
  readonly run: number;
}

/** The work has begun. */
export interface StartEvent extends OfWork {
  readonly type: 'start';
}

/** How far the work has come. */
export interface ProgressEvent extends OfWork {
  readonly type: 'progress';
  /** The current step, in a few words. */
  readonly phase: string;
  /** Bytes for an import and an export, items for everything else. */
  readonly done: number;
  /** In the same unit; equal to `done` or 0 while unknown. May grow. */
  readonly total: number;
}

/**
 * A request failed, or another process is in the way, and the request will be retried. Any call may
 * send this event, not only long work.
 */
export interface RetryEvent {
  readonly type: 'retry';
  /** The request: `PUT manifests/conversation/c1.json`. */
  readonly what: string;
  /**
   * The reason in the words of the service or the system: `SlowDown`, `ECONNREFUSED`,
   * `RequestTimedOut`; otherwise the code of the error, such as `BUSY`.
   */
  readonly reason: string;
  /** The number of the next try: 2 after the first failure. */
  readonly attempt: number;
  /** The wait before that try, in ms. */
  readonly waitMs: number;
  /** The time until Varve gives up, in ms from now. */
  readonly givesUpInMs: number;
}

/** One result of the work: a finding, a decision, a line that was not stored. */
export interface ItemEvent extends OfWork {
  readonly type: 'item';
  /**
   * The item as the call's own results contain it: a `Finding`, a `PruneDecision`, an
   * `ImportError`.
   */
  readonly item: object;
}

/** The work has succeeded. */
export interface DoneEvent extends OfWork {
  readonly type: 'done';
  readonly durationMs: number;
  /** The return value of the call. */
  readonly result: object;
}

/** The work has failed, or was aborted (`error.code` is `ABORTED`). */
export interface FailedEvent extends OfWork {
  readonly type: 'failed';
  readonly durationMs: number;
  readonly error: VarveError;
}

/**
 * What a store reports while it works: one shape for everything that may take long. `type`
 * discriminates the members. Later versions may add members and fields; skip what you do not know.
 */
export type StoreEvent =
  | StartEvent
  | ProgressEvent
  | RetryEvent
  | ItemEvent
  | DoneEvent
  | FailedEvent;

/** Receives events, synchronously. */
export type OnEvent = (event: StoreEvent) => void;

/** An error in the listener must not affect the work: it becomes an uncaught exception. */
export function safely(onEvent: OnEvent): OnEvent {
  return (event) => {
    try {
      onEvent(event);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  };
}
