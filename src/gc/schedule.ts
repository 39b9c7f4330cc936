import type { Backend } from '../backends/contract/backend.ts';
import type { CollectReport } from '../backends/contract/collection.ts';
import type { Lease } from '../backends/contract/reports.ts';
import type { AbortOptions } from '../core/abort.ts';
import { type Duration, parseDuration } from '../core/duration.ts';
import { isVarveError, VarveError } from '../core/errors.ts';
import type { OptionKinds } from '../core/options/option-kinds.ts';

/** How a schedule runs what it is for. */
export interface ScheduleOptions extends AbortOptions {
  /** From the start of one run to that of the next, such as `6h`; at least a second. */
  readonly every: Duration;
  /**
   * A random delay of up to this before each run, so that many hosts do not start at once. Default:
   * a tenth of `every`.
   */
  readonly jitter?: Duration | undefined;
  /** Receives the report of each run. */
  readonly onReport?: ((report: CollectReport) => void) | undefined;
  /** Receives the error of each failed run; the schedule continues. Default: ignored. */
  readonly onError?: ((error: VarveError) => void) | undefined;
  /** Called for each turn that was left to another process. */
  readonly onSkip?: (() => void) | undefined;
  /** Ends the schedule, and aborts the run under way. */
  readonly signal?: AbortSignal | undefined;
}

/** The kinds of {@link ScheduleOptions}. */
export function scheduleKinds(is: OptionKinds) {
  return {
    every: is.duration,
    jitter: is.duration,
    onReport: is.callback<NonNullable<ScheduleOptions['onReport']>>(),
    onError: is.callback<NonNullable<ScheduleOptions['onError']>>(),
    onSkip: is.callback<NonNullable<ScheduleOptions['onSkip']>>(),
    signal: is.signal,
  };
}

/** A schedule that goes on until it is stopped, its signal fires, or the store is closed. */
export interface Schedule {
  /** Ends it and aborts the run under way; resolves when that has ended. */
  stop(): Promise<void>;
  /** Resolves when it has ended, for whatever reason. */
  readonly ended: Promise<void>;
}

/** The longest a timer takes, in ms; longer waits are made of several. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * While a run lasts its lease is for so long, in ms, and is renewed three times as often: a host
 * that dies blocks others no longer.
 */
const RUN_LEASE_MS = 5 * 60_000;

/**
 * After a run, the lease marks the turn as taken for this share of the shortest time until the
 * next: less than all, for clocks.
 */
const TURN_SHARE = 0.9;

const LEASE = 'gc-schedule';

/**
 * Runs `work` again and again, one run at a time. Of the processes that have a schedule for one
 * store, one has each turn: a lease says so. Nothing depends on that: two collections at once are
 * harmless, and a store whose lease cannot be had for an error is collected without.
 *
 * @throws `INVALID_ARGUMENT` for invalid durations; `READ_ONLY`.
 */
export function startSchedule(
  backend: Backend,
  options: ScheduleOptions,
  work: (signal: AbortSignal) => Promise<CollectReport>,
): Schedule {
  const everyMs = parseDuration(options.every);
  if (everyMs < 1000)
    throw new VarveError('INVALID_ARGUMENT', 'a schedule runs at most once a second');
  const jitterMs = options.jitter === undefined ? everyMs / 10 : parseDuration(options.jitter);
  if (!backend.capabilities.writable) {
    throw new VarveError('READ_ONLY', 'a store opened for reading only cannot be collected');
  }
  const ending = new AbortController();
  const signal =
    options.signal === undefined ? ending.signal : AbortSignal.any([ending.signal, options.signal]);
  const turnMs = Math.max(0, everyMs - jitterMs) * TURN_SHARE;
  const ended = repeat(everyMs, jitterMs, signal, () =>
    takeTurn(backend, turnMs, options, signal, work),
  );
  return {
    ended,
    stop: () => {
      ending.abort(new Error('the schedule was stopped'));
      return ended;
    },
  };
}

/**
 * Calls `turn` until it says that there is no more to come, or the signal fires. A turn that lasts
 * too long costs the next one its time, not its own.
 */
async function repeat(
  everyMs: number,
  jitterMs: number,
  signal: AbortSignal,
  turn: () => Promise<boolean>,
): Promise<void> {
  for (let due = Date.now(); ; ) {
    await pause(due - Date.now() + Math.random() * jitterMs, signal);
    if (signal.aborted || !(await turn())) return;
    // Turns that a long run has missed are not made up for.
    due = Math.max(due + everyMs, Date.now());
  }
}

/** One turn. Returns whether there may be another. */
async function takeTurn(
  backend: Backend,
  turnMs: number,
  { onReport, onError, onSkip }: ScheduleOptions,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<CollectReport>,
): Promise<boolean> {
  try {
    const lease = await leaseOf(backend, signal);
    if (lease === 'taken') {
      onSkip?.();
      return true;
    }
    const report = await withLease(lease, turnMs, () => work(signal));
    onReport?.(report);
  } catch (cause) {
    if (signal.aborted || isVarveError(cause, 'CLOSED')) return false;
    onError?.(isVarveError(cause) ? cause : new VarveError('INTERNAL', String(cause), { cause }));
  }
  return !signal.aborted;
}

/** `undefined`: unknown, so the work is done without a lease. */
async function leaseOf(
  backend: Backend,
  signal: AbortSignal,
): Promise<Lease | 'taken' | undefined> {
  try {
    return (await backend.lease(LEASE, RUN_LEASE_MS, { signal })) ?? 'taken';
  } catch (error) {
    if (!isVarveError(error) || isVarveError(error, 'CLOSED') || isVarveError(error, 'ABORTED'))
      throw error;
    return undefined;
  }
}

/**
 * Does the work with the lease, which is then kept for the turn; a run that fails leaves the turn
 * to others.
 */
async function withLease<Result>(
  lease: Lease | undefined,
  turnMs: number,
  work: () => Promise<Result>,
): Promise<Result> {
  if (lease === undefined) return work();
  const startedAt = Date.now();
  const renewing = setInterval(() => void quietly(lease.renew(RUN_LEASE_MS)), RUN_LEASE_MS / 3);
  try {
    const result = await work();
    clearInterval(renewing);
    const left = startedAt + turnMs - Date.now();
    await quietly(left > 0 ? lease.renew(left) : lease.release());
    return result;
  } catch (error) {
    clearInterval(renewing);
    await quietly(lease.release());
    throw error;
  }
}

/** A lease is a courtesy: failing to renew or end it is not an error. */
async function quietly(step: Promise<unknown>): Promise<void> {
  try {
    await step;
  } catch (error) {
    if (!isVarveError(error)) throw error;
  }
}

/** Waits, or until the signal fires. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  for (let left = ms; left > 0 && !signal.aborted; left -= LONGEST_TIMER_MS) {
    await new Promise<void>((resolve) => {
      const settle = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', settle);
        resolve();
      };
      const timer = setTimeout(settle, Math.min(left, LONGEST_TIMER_MS));
      signal.addEventListener('abort', settle);
    });
  }
}
