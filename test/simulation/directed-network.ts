import type { PutResult } from '../../src/backends/object/object-store.ts';
import type { ErrorCode, VarveError } from '../../src/errors.ts';
import type { Scheduler } from './scheduler.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import type { Network, Request, Verb } from './simulated-store.ts';

/** Which requests a director has in mind. */
export interface Cue {
  /** Name of the process. */
  readonly by: string;
  readonly verb: Verb;
  /** What one of the keys, or the prefix of a LIST, looks like. */
  readonly key: RegExp;
}

/** One way, in ms. */
const DELAY_MS = 1;

/** A request that waits for the director's word, from when it is sent. */
export class HeldRequest {
  #request: { readonly happen: () => void; readonly answer: () => void; readonly lose: () => void } | undefined;
  #hasHappened = false;

  get isWaiting(): boolean {
    return this.#request !== undefined;
  }

  /** It happens; its answer goes on waiting. */
  happen(): void {
    if (this.#hasHappened) return;
    this.#hasHappened = true;
    this.#sent().happen();
  }

  /** It happens, if it has not yet, and is answered. */
  proceed(): void {
    this.happen();
    this.#sent().answer();
  }

  /** Nobody will know whether it happened; it may still do so. */
  lose(): void {
    this.#sent().lose();
  }

  /** For the network: it was sent. */
  arrive(request: { readonly happen: () => void; readonly answer: () => void; readonly lose: () => void }): void {
    this.#request = request;
  }

  #sent() {
    if (this.#request === undefined) throw new TypeError('a request that was not sent cannot go on');
    return this.#request;
  }
}

/** Answers everything in the order it was sent, but for what a director holds back, loses, or has a process die of. */
export class DirectedNetwork implements Network {
  readonly #scheduler: Scheduler;
  readonly #failure: (code: ErrorCode, message: string) => VarveError;
  readonly #held: { readonly cue: Cue; readonly held: HeldRequest }[] = [];
  readonly #lost: Cue[] = [];
  readonly #deaths = new Map<string, number>();

  constructor(scheduler: Scheduler, failure: (code: ErrorCode, message: string) => VarveError) {
    this.#scheduler = scheduler;
    this.#failure = failure;
  }

  /** The next request of that kind waits. */
  hold(cue: Cue): HeldRequest {
    const held = new HeldRequest();
    this.#held.push({ cue, held });
    return held;
  }

  /** From now on, requests of that kind never arrive. */
  lose(cue: Cue): void {
    this.#lost.push(cue);
  }

  /** The process dies of its request of that number, counted from 1: it happens, and nobody hears of it. */
  kill(process: string, request: number): void {
    this.#deaths.set(process, request);
  }

  send<Result>(request: Request<Result>): Promise<Result> {
    const { process, verb } = request;
    return new Promise((resolve, reject) => {
      if (process.isCrashed) return;
      const number = ++process.requests;
      let result: Result;
      const happen = () => {
        result = request.apply();
      };
      const answer = () => process.deliver(DELAY_MS, () => resolve(result));
      const lose = () =>
        process.deliver(DELAY_MS, () => {
          const error = new Error('the answer was lost');
          if (verb === 'PUT') resolve({ outcome: 'unknown', error } satisfies PutResult as Result);
          else reject(this.#failure('UNAVAILABLE', 'the answer was lost'));
        });
      if (this.#deaths.get(process.name) === number) {
        process.crash();
        this.#scheduler.after(DELAY_MS, happen);
        return;
      }
      const at = this.#held.findIndex(({ cue }) => isMeant(cue, process, request));
      if (at >= 0) {
        const [entry] = this.#held.splice(at, 1);
        entry?.held.arrive({ happen, answer, lose });
        return;
      }
      if (this.#lost.some((cue) => isMeant(cue, process, request))) {
        lose();
        return;
      }
      this.#scheduler.after(DELAY_MS, () => {
        happen();
        answer();
      });
    });
  }
}

function isMeant(cue: Cue, process: SimulatedProcess, { verb, keys }: Request<unknown>): boolean {
  return cue.by === process.name && cue.verb === verb && keys.some((key) => cue.key.test(key));
}
