import type { PutResult } from '../../../src/backends/storage/object-store.ts';
import type { ProtocolBuild } from '../simulator/protocol-build.ts';
import type { Scheduler } from '../simulator/scheduler.ts';
import type { SeededRandom } from '../simulator/seeded-random.ts';
import { answerWithFault, BARE_503, LOST, SLOW_DOWN } from '../simulator/service-fault.ts';
import type { SimulatedProcess } from '../simulator/simulated-process.ts';
import type { Network, Request } from '../simulator/simulated-store.ts';

/** The shares of requests that end in each fault, from 0 to 1. */
export interface FaultRates {
  /** It is applied, but the answer is lost. */
  readonly lostAnswer: number;
  /** It is lost on the way to the server. */
  readonly lostRequest: number;
  /** It is applied long after its answer was reported as lost. */
  readonly late: number;
  /** A conflict with another request (409): not applied. */
  readonly refused: number;
  /** Turned away (`SlowDown`): not applied. */
  readonly throttled: number;
  /** A bare 503: applied or not. */
  readonly busy: number;
  /** It takes seconds instead of milliseconds. */
  readonly slow: number;
}

export const NO_FAULTS: FaultRates = {
  lostAnswer: 0,
  lostRequest: 0,
  late: 0,
  refused: 0,
  throttled: 0,
  busy: 0,
  slow: 0,
};

type RequestFault = Exclude<keyof FaultRates, 'slow'>;

/** A fault of a process when it sends its request number `at`, counted from 1. */
export type ProcessFault =
  | { readonly kind: 'crash'; readonly at: number }
  | { readonly kind: 'pause'; readonly at: number; readonly ms: number };

/**
 * Splits every request into its arrival, when it is applied, and its answer. Both take a random
 * time, and either may end in a fault.
 */
export class UnreliableNetwork implements Network {
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly #trace: (line: string) => void;
  readonly #build: ProtocolBuild;
  readonly #faults = new Map<SimulatedProcess, readonly ProcessFault[]>();
  rates: FaultRates;

  constructor(
    scheduler: Scheduler,
    random: SeededRandom,
    rates: FaultRates,
    trace: (line: string) => void,
    build: ProtocolBuild,
  ) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.rates = rates;
    this.#trace = trace;
    this.#build = build;
  }

  planFaults(process: SimulatedProcess, faults: readonly ProcessFault[]): void {
    this.#faults.set(process, faults);
  }

  send<Result>(request: Request<Result>): Promise<Result> {
    const { process } = request;
    return new Promise((resolve, reject) => {
      if (process.isCrashed) return;
      const number = ++process.requests;
      const name =
        `${process.name}#${number} ${request.verb} ` +
        `${request.keys.join(' ')}${conditionOf(request)}`;
      const fault = this.#drawFault(request);
      for (const planned of this.#faults.get(process) ?? []) {
        if (planned.at === number) this.#strike(process, planned);
      }
      if (process.isCrashed && this.#random.chance(0.4)) return;
      this.#trace(`${name}: sent`);
      this.#deliver(request, name, fault, resolve, reject);
    });
  }

  #strike(process: SimulatedProcess, fault: ProcessFault): void {
    this.#trace(
      `${process.name} ` + `${fault.kind}${fault.kind === 'pause' ? ` for ${fault.ms} ms` : ''}`,
    );
    if (fault.kind === 'crash') process.crash();
    else process.pause(fault.ms);
  }

  #deliver<Result>(
    request: Request<Result>,
    name: string,
    fault: RequestFault | undefined,
    resolve: (result: Result) => void,
    reject: (error: Error) => void,
  ): void {
    const { process, verb } = request;
    const there = this.#delay();
    const back = this.#delay();
    const apply = (): Result => {
      const result = request.apply();
      this.#trace(`${name}: ${describe(result)}`);
      return result;
    };
    const unknown = () => {
      this.#trace(`${name}: answered with ${fault}`);
      answerWithFault(this.#build, verb, LOST, resolve, reject);
    };
    switch (fault) {
      case undefined:
        this.#scheduler.after(there, () => {
          const result = apply();
          process.deliver(back, () => {
            resolve(result);
          });
        });
        return;
      case 'lostAnswer':
        this.#scheduler.after(there, apply);
        process.deliver(there + back, unknown);
        return;
      case 'lostRequest':
        process.deliver(there + back, unknown);
        return;
      case 'late':
        process.deliver(there, unknown);
        this.#scheduler.after(there + this.#longDelay(), apply);
        return;
      case 'refused':
        process.deliver(there + back, () => {
          this.#trace(`${name}: answered with 409`);
          resolve({ outcome: 'refused' } satisfies PutResult as Result);
        });
        return;
      case 'throttled':
        process.deliver(there + back, () => {
          this.#trace(`${name}: throttled`);
          answerWithFault(this.#build, verb, SLOW_DOWN, resolve, reject);
        });
        return;
      case 'busy':
        if (this.#random.chance(0.5)) this.#scheduler.after(there, apply);
        process.deliver(there + back, () => {
          this.#trace(`${name}: answered with 503`);
          answerWithFault(this.#build, verb, BARE_503, resolve, reject);
        });
        return;
    }
  }

  #drawFault({ verb }: Request<unknown>): RequestFault | undefined {
    const { lostAnswer, lostRequest, late, refused, throttled, busy } = this.rates;
    const sum = lostAnswer + lostRequest + late + refused + throttled + busy;
    if (!this.#random.chance(sum)) return undefined;
    const fault = this.#random.weighted({
      lostAnswer,
      lostRequest,
      late,
      refused,
      throttled,
      busy,
    });
    // What only reads changes nothing late, and has nothing to refuse.
    if (verb !== 'PUT' && fault === 'refused') return undefined;
    if (verb !== 'PUT' && verb !== 'DELETE' && fault !== 'throttled') return 'lostRequest';
    return fault;
  }

  #delay(): number {
    if (this.#random.chance(this.rates.slow)) return this.#longDelay();
    return 0.5 + 10 * this.#random.fraction() ** 2;
  }

  #longDelay(): number {
    return 10 * 1000 ** this.#random.fraction();
  }
}

function conditionOf({ condition }: Request<unknown>): string {
  if (condition === undefined || condition.kind === 'any') return '';
  return condition.kind === 'absent' ? ' if absent' : ` if ${condition.etag.slice(1, 7)}`;
}

function describe(result: unknown): string {
  if (result === undefined) return 'done';
  if (typeof result !== 'object' || result === null) return String(result);
  if ('outcome' in result)
    return 'etag' in result ? `stored ${String(result.etag).slice(1, 7)}` : String(result.outcome);
  if ('objects' in result && Array.isArray(result.objects))
    return `${result.objects.length} objects`;
  return 'etag' in result ? String(result.etag).slice(1, 7) : 'done';
}
