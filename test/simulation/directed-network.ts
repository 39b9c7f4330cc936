import type { FaultDetails } from '../../src/backends/storage/service-fault.ts';
import type { ProtocolBuild } from './protocol-build.ts';
import type { Scheduler } from './scheduler.ts';
import { hear, LOST } from './service-answer.ts';
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

interface SentRequest {
  readonly happen: () => void;
  readonly answer: () => void;
  readonly lose: (fault: FaultDetails) => void;
}

/** A request that waits for the director's word, from when it is sent. */
export class HeldRequest {
  #request: SentRequest | undefined;
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

  /** It is answered with a fault, or not at all: it may have happened, and may still do so. */
  lose(fault = LOST): void {
    this.#sent().lose(fault);
  }

  /** For the network: it was sent. */
  arrive(request: SentRequest): void {
    this.#request = request;
  }

  #sent() {
    if (this.#request === undefined)
      throw new TypeError('a request that was not sent cannot go on');
    return this.#request;
  }
}

/**
 * Answers everything in the order it was sent, but for what a director holds back, loses, or has a
 * process die of.
 */
export class DirectedNetwork implements Network {
  readonly #scheduler: Scheduler;
  readonly #build: ProtocolBuild;
  readonly #held: { readonly cue: Cue; readonly held: HeldRequest }[] = [];
  readonly #lost: Cue[] = [];
  readonly #deaths = new Map<string, number>();

  constructor(scheduler: Scheduler, build: ProtocolBuild) {
    this.#scheduler = scheduler;
    this.#build = build;
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

  /**
   * The process dies of its request of that number, counted from 1: it happens, and nobody hears of
   * it.
   */
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
      const lose = (fault: FaultDetails) =>
        process.deliver(DELAY_MS, () => hear(this.#build, verb, fault, resolve, reject));
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
        lose(LOST);
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
