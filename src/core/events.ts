import type { VarveError } from './errors.ts';

/** What may take long enough that somebody wants to watch. */
export type WorkName = 'open' | 'import' | 'export' | 'collect' | 'audit' | 'prune' | 'backup';

/** What all events of one piece of work have in common. */
interface OfWork {
  readonly work: WorkName;
  /** Tells apart pieces of work of one process that run at the same time. */
  readonly run: number;
}

/** The work has begun. */
export interface StartEvent extends OfWork {
  readonly type: 'start';
}

/** How far the work is. */
export interface ProgressEvent extends OfWork {
  readonly type: 'progress';
  /** What it does at the moment, in a few words. */
  readonly phase: string;
  /** Bytes of an import and an export, items of everything else. */
  readonly done: number;
  /** In the same unit; `done` or 0 while it is not known. May grow. */
  readonly total: number;
}

/**
 * A request failed, or somebody else is in the way, and it will be tried again. Of any call, not of
 * long work alone.
 */
export interface RetryEvent {
  readonly type: 'retry';
  /** What is repeated: `PUT manifests/conversation/c1.json`. */
  readonly what: string;
  /**
   * Why, as the service or the system calls it: `SlowDown`, `ECONNREFUSED`, `RequestTimedOut`;
   * otherwise the code of the error, such as `BUSY`.
   */
  readonly reason: string;
  /** The number of the try that comes next: 2 after the first failure. */
  readonly attempt: number;
  /** How long it waits before that try, in ms. */
  readonly waitMs: number;
  /** When it would give up, in ms from now. */
  readonly givesUpInMs: number;
}

/** One thing that the work has to tell of: a finding, a decision, a line that was not stored. */
export interface ItemEvent extends OfWork {
  readonly type: 'item';
  /** As the work's own results have it: a `Finding`, a `PruneDecision`, an `ImportError`. */
  readonly item: object;
}

/** The work has ended well. */
export interface DoneEvent extends OfWork {
  readonly type: 'done';
  readonly durationMs: number;
  /** What the call returns. */
  readonly result: object;
}

/** The work has failed, or was aborted (`error.code` is `ABORTED`). */
export interface FailedEvent extends OfWork {
  readonly type: 'failed';
  readonly durationMs: number;
  readonly error: VarveError;
}

/**
 * What a store tells while it works: one shape for everything that may take long. `type` says which
 * of the members it is. New members and new fields may come; skip what you do not know.
 */
export type StoreEvent =
  | StartEvent
  | ProgressEvent
  | RetryEvent
  | ItemEvent
  | DoneEvent
  | FailedEvent;

/** Told of events, synchronously. */
export type OnEvent = (event: StoreEvent) => void;

/** An error of the listener's must not decide what becomes of the work: it is an uncaught one. */
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
