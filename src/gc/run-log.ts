import type { Backend } from '../backends/contract/backend.ts';
import type { AbortOptions } from '../core/abort.ts';
import { type ErrorCode, isVarveError, VarveError } from '../core/errors.ts';
import type { OnEvent, WorkName } from '../core/events.ts';
import { parseJson } from '../core/json.ts';
import type { OptionKinds } from '../core/options/option-kinds.ts';
import { declareOptions } from '../core/options/options.ts';
import { version } from '../core/version.ts';
import { Work } from '../core/work.ts';

/**
 * What a maintenance run did, as it is kept in the store. Says nothing of the machine that it ran
 * on.
 */
export interface RunReport {
  readonly v: 1;
  readonly operation: 'gc' | 'audit' | 'prune';
  /** When it began, in ms since the epoch. */
  readonly startedAt: number;
  readonly durationMs: number;
  /** `aborted`: by its caller, before its end; what it had done is done. */
  readonly outcome: 'done' | 'failed' | 'aborted';
  /** The options it was given. */
  readonly options: Readonly<Record<string, unknown>>;
  /**
   * What it returned: a `CollectReport`, an `AuditReport` or a `PruneReport`. Absent unless it was
   * done.
   */
  readonly result?: Readonly<Record<string, unknown>>;
  /** Findings of an audit by kind, and conversations of a prune by status. */
  readonly counts?: Readonly<Record<string, number>>;
  /** Requests to a storage service, by verb, where the backend counts them. */
  readonly requests?: Readonly<Record<string, number>>;
  readonly error?: { readonly code: ErrorCode; readonly message: string };
  /** The version of Varve that ran. */
  readonly version: string;
}

/** Options of the history of runs. */
export interface HistoryOptions extends AbortOptions {
  /** At most this many. Default: 100. */
  readonly limit?: number | undefined;
}

const HISTORY_OPTIONS = declareOptions<HistoryOptions>()({
  defaults: { limit: 100 },
  members: (is: OptionKinds) => ({ limit: is.limit, signal: is.signal }),
});

type Operation = RunReport['operation'];

const WORKS: Readonly<Record<Operation, WorkName>> = {
  gc: 'collect',
  audit: 'audit',
  prune: 'prune',
};

type Ending = Pick<RunReport, 'outcome' | 'result' | 'counts' | 'error'>;

/** Longest message of an error that is kept, in characters. */
const MAX_MESSAGE = 2000;

/**
 * Keeps the reports of maintenance runs in the store. A store opened for reading only takes none.
 */
export class RunLog {
  readonly #backend: Backend;
  readonly #onEvent: OnEvent | undefined;

  /** @param onEvent receives the events of the runs. */
  constructor(backend: Backend, onEvent?: OnEvent) {
    this.#backend = backend;
    this.#onEvent = onEvent;
  }

  /** Work that leaves no report, but sends events as others do. */
  begin(operation: Operation): Work {
    return new Work(WORKS[operation], this.#onEvent);
  }

  /** Calls `run` and keeps a report of it, of its failure as well. */
  async record<Result extends object>(
    operation: Operation,
    options: object,
    run: (work: Work) => Promise<Result>,
  ): Promise<Result> {
    const begun = this.#begin();
    const work = this.begin(operation);
    try {
      const result = await work.run(() => run(work));
      await this.#keep(operation, options, begun, {
        outcome: 'done',
        result: { ...result } as Record<string, unknown>,
      });
      return result;
    } catch (error) {
      await this.#keep(operation, options, begun, this.#endingBy(error));
      throw error;
    }
  }

  /**
   * As {@link record}, for work that yields items on the way; `name` is what they are counted by.
   */
  async *recordEach<Item extends object, Result extends object>(
    operation: Operation,
    options: object,
    begin: (work: Work) => AsyncGenerator<Item, Result, undefined>,
    name: (item: Item) => string,
  ): AsyncGenerator<Item, Result, undefined> {
    const begun = this.#begin();
    const work = this.begin(operation);
    const steps = work.each(begin(work));
    const counts: Record<string, number> = {};
    // What stands if the reader leaves in the middle.
    let ending: Ending = { outcome: 'aborted' };
    try {
      for (;;) {
        const step = await steps.next();
        if (step.done) {
          ending = { outcome: 'done', result: { ...step.value } as Record<string, unknown> };
          return step.value;
        }
        counts[name(step.value)] = (counts[name(step.value)] ?? 0) + 1;
        yield step.value;
      }
    } catch (error) {
      ending = this.#endingBy(error);
      throw error;
    } finally {
      await steps.return(undefined as never);
      await this.#keep(operation, options, begun, { ...ending, counts });
    }
  }

  /** The reports that are kept, newest first. Those that cannot be read are left out. */
  async history(options?: HistoryOptions): Promise<RunReport[]> {
    const reports = await this.#backend.reports.list(HISTORY_OPTIONS.read('gc.history', options));
    return reports.flatMap(({ body }) => parseReport(body) ?? []);
  }

  #begin(): Begun {
    return {
      at: Date.now(),
      clock: performance.now(),
      requests: this.#backend.metrics?.().requests,
    };
  }

  /** Requests since then; those of others in this process are among them. */
  #requestsSince({ requests: before }: Begun): Pick<RunReport, 'requests'> {
    const now = this.#backend.metrics?.().requests;
    if (before === undefined || now === undefined) return {};
    const spent = Object.entries(now).map(([verb, count]) => [verb, count - (before[verb] ?? 0)]);
    return { requests: Object.fromEntries(spent) };
  }

  /** The run is over, so a report that cannot be kept does not fail it. */
  async #keep(operation: Operation, options: object, begun: Begun, ending: Ending): Promise<void> {
    if (!this.#backend.capabilities.writable) return;
    const report: RunReport = {
      v: 1,
      operation,
      startedAt: begun.at,
      durationMs: Math.round(performance.now() - begun.clock),
      ...ending,
      ...this.#requestsSince(begun),
      options: settingsOf(options),
      version: version(),
    };
    try {
      await this.#backend.reports.add({ time: begun.at, body: JSON.stringify(report) });
    } catch (error) {
      if (!isVarveError(error)) throw error;
    }
  }

  #endingBy(error: unknown): Ending {
    const { code, message } = isVarveError(error)
      ? error
      : new VarveError('INTERNAL', String(error));
    const { location } = this.#backend;
    const text = message
      .replaceAll(location, '(the store)')
      .replaceAll(location.replace(/^file:/, ''), '(the store)');
    return {
      outcome: code === 'ABORTED' ? 'aborted' : 'failed',
      error: { code, message: text.slice(0, MAX_MESSAGE) },
    };
  }
}

interface Begun {
  readonly at: number;
  readonly clock: number;
  readonly requests: Readonly<Record<string, number>> | undefined;
}

/** The options that JSON can express: no signals, no callbacks. */
function settingsOf(options: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(options).filter(
      ([, value]) =>
        value !== undefined && typeof value !== 'function' && !(value instanceof AbortSignal),
    ),
  );
}

function parseReport(body: string): RunReport | undefined {
  try {
    const report = parseJson(body);
    const isReport =
      typeof report === 'object' &&
      report !== null &&
      'operation' in report &&
      'startedAt' in report;
    return isReport ? (report as RunReport) : undefined;
  } catch {
    return undefined;
  }
}
