import type { PutResult } from '../../src/backends/storage/object-store.ts';
import type { ProtocolBuild } from './protocol-build.ts';
import type { SeededRandom } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import { BARE_503, hear, LOST, SLOW_DOWN } from './service-answer.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import type { Network, Request } from './simulated-store.ts';

/** How often things go wrong, from 0 to 1, of all requests. */
export interface FaultRates {
  /** It happened, but the answer was lost. */
  readonly lostReply: number;
  /** It was lost on the way there. */
  readonly lostRequest: number;
  /** The answer was that nobody knows; then it happened nevertheless. */
  readonly late: number;
  /** A conflict with another request (409): nothing happened. */
  readonly refused: number;
  /** Turned away (SlowDown): nothing happened. */
  readonly throttled: number;
  /** A bare 503: it happened, or it did not. */
  readonly busy: number;
  /** Share of requests that take seconds instead of milliseconds. */
  readonly slow: number;
}

export const NO_FAULTS: FaultRates = {
  lostReply: 0,
  lostRequest: 0,
  late: 0,
  refused: 0,
  throttled: 0,
  busy: 0,
  slow: 0,
};

type Fate = 'fine' | Exclude<keyof FaultRates, 'slow'>;

/** What befalls a process at one of its requests, counted from 1. */
export type Misfortune =
  | { readonly kind: 'crash'; readonly at: number }
  | { readonly kind: 'pause'; readonly at: number; readonly ms: number };

/**
 * Splits every request into its arrival, which is when it happens, and its answer, and has all of
 * them go wrong.
 */
export class UnreliableNetwork implements Network {
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly #trace: (line: string) => void;
  readonly #build: ProtocolBuild;
  readonly #misfortunes = new Map<SimulatedProcess, readonly Misfortune[]>();
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

  strike(process: SimulatedProcess, misfortunes: readonly Misfortune[]): void {
    this.#misfortunes.set(process, misfortunes);
  }

  send<Result>(request: Request<Result>): Promise<Result> {
    const { process } = request;
    return new Promise((resolve, reject) => {
      if (process.isCrashed) return;
      const number = ++process.requests;
      const name =
        `${process.name}#${number} ${request.verb} ` +
        `${request.keys.join(' ')}${conditionOf(request)}`;
      const fate = this.#fate(request);
      for (const misfortune of this.#misfortunes.get(process) ?? []) {
        if (misfortune.at === number) this.#befall(process, misfortune);
      }
      if (process.isCrashed && this.#random.chance(0.4)) return;
      this.#trace(`${name}: sent`);
      this.#deliver(request, name, fate, resolve, reject);
    });
  }

  #befall(process: SimulatedProcess, misfortune: Misfortune): void {
    this.#trace(
      `${process.name} ` +
        `${misfortune.kind}${misfortune.kind === 'pause' ? ` for ${misfortune.ms} ms` : ''}`,
    );
    if (misfortune.kind === 'crash') process.crash();
    else process.pause(misfortune.ms);
  }

  #deliver<Result>(
    request: Request<Result>,
    name: string,
    fate: Fate,
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
      this.#trace(`${name}: answered with ${fate}`);
      hear(this.#build, verb, LOST, resolve, reject);
    };
    switch (fate) {
      case 'fine':
        this.#scheduler.after(there, () => {
          const result = apply();
          process.deliver(back, () => {
            resolve(result);
          });
        });
        return;
      case 'lostReply':
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
          hear(this.#build, verb, SLOW_DOWN, resolve, reject);
        });
        return;
      case 'busy':
        if (this.#random.chance(0.5)) this.#scheduler.after(there, apply);
        process.deliver(there + back, () => {
          this.#trace(`${name}: answered with 503`);
          hear(this.#build, verb, BARE_503, resolve, reject);
        });
        return;
    }
  }

  #fate({ verb }: Request<unknown>): Fate {
    const { lostReply, lostRequest, late, refused, throttled, busy } = this.rates;
    const sum = lostReply + lostRequest + late + refused + throttled + busy;
    if (!this.#random.chance(sum)) return 'fine';
    const fate = this.#random.weighted({ lostReply, lostRequest, late, refused, throttled, busy });
    // What only reads has no effects to come late, and nothing to refuse.
    if (verb !== 'PUT' && fate === 'refused') return 'fine';
    if (verb !== 'PUT' && verb !== 'DELETE' && fate !== 'throttled') return 'lostRequest';
    return fate;
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
